"""A letter from a wording: the values put in, and the e-mail made from plain text."""

import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape

from outreach.messages.models import Channel, TemplateVersion
from outreach.messages.placeholders import fill

SIGNATURE = "【慈善总会】"
"""What a text message is counted with when the caller does not say how it is signed."""
ROOM_FOR_SUBJECT = 200
SMS_SINGLE, SMS_PART = 70, 67
"""Characters in a text message that is sent as one, and in each part of a longer one."""

_GAP = re.compile(r"\n\s*\n")
ENCODED_WORD = re.compile(r"=\?|\?=")
_URL = re.compile(r"https?://(?:[\w.~:/?#@!$*+=%-]|&amp;)*[\w/#=]", re.ASCII)


@dataclass(frozen=True)
class Rendered:
    subject: str
    """Empty for a text message."""
    text: str


def render(version: TemplateVersion, fields: dict[str, str]) -> Rendered:
    """Puts the values in; Refused when the template has placeholders that do not exist.

    `fields` has a value for every placeholder in use. A value is put on one line and cleaned of
    control characters, since it may end up in a subject.
    """
    channel = version.template.channel
    text = fill(version.body, fields).strip()
    if channel is Channel.SMS:
        return Rendered(subject="", text=text)
    subject = ENCODED_WORD.sub("", fill(version.subject, fields)).strip()
    if len(subject) > ROOM_FOR_SUBJECT:  # a contact who serves many units
        subject = subject[: ROOM_FOR_SUBJECT - 1] + "…"
    return Rendered(subject=subject, text=text)


def render_html(text: str) -> str:
    """Plain text as an HTML e-mail: tables and inline styles, because Outlook lays out with Word;
    no image, font or script from anywhere. An empty line ends a paragraph."""
    body = "\n".join(_html_paragraph(part) for part in _GAP.split(text.strip()) if part.strip())
    return _HTML.replace("{body}", body)


def segments(text: str, signature: str = SIGNATURE) -> int:
    """How many text messages the provider counts: 70 characters for one, 67 for each of several,
    in UTF-16 units and with the signature."""
    length = sms_length(text, signature)
    return 1 if length <= SMS_SINGLE else -(-length // SMS_PART)


def sms_length(text: str, signature: str = SIGNATURE) -> int:
    return len((signature + text).encode("utf-16-be")) // 2


@lru_cache(maxsize=256)
def _html_paragraph(paragraph: str) -> str:
    """Kept, since most paragraphs are those of the letter before."""
    lines = (escape(line.strip(), quote=True) for line in paragraph.strip().split("\n"))
    content = "<br>\n".join(_URL.sub(_link, line) for line in lines)
    return f'<p style="margin:0 0 16px 0">{content}</p>'


def _link(match: re.Match[str]) -> str:
    return f'<a href="{match[0]}" style="color:#1d5b8f">{match[0]}</a>'


_HTML = """\
<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
</head>
<body style="margin:0;padding:0;background-color:#f5f7fa">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" \
bgcolor="#f5f7fa">
<tr><td align="center" style="padding:24px 12px">
<!--[if mso]><table role="presentation" width="600" cellpadding="0" cellspacing="0" border="0">\
<tr><td><![endif]-->
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" \
bgcolor="#ffffff" style="max-width:600px;border:1px solid #dce1e7">
<tr><td align="left" style="padding:28px 28px 12px 28px;\
font-family:'Microsoft YaHei','PingFang SC',SimSun,sans-serif;font-size:16px;line-height:28px;\
mso-line-height-rule:exactly;color:#1f2d3d;word-break:break-word">
{body}
</td></tr>
</table>
<!--[if mso]></td></tr></table><![endif]-->
</td></tr>
</table>
</body>
</html>
"""
