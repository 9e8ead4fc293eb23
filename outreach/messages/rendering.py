"""Wording: placeholders, the e-mail made from plain text, and the check before a text is kept.

Templates are logic-less. `((单位名称))` is replaced by a value and nothing else happens: values are
put in once and never looked at again, so that what a unit is called cannot become a placeholder.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from itertools import count

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.errors import Refused
from outreach.messages.models import Channel, Purpose, TemplateVersion
from outreach.terms import Term

PLACEHOLDERS: dict[str, LazyString] = {
    "活动名称": _("活动全称"),
    "单位名称": _("单位全称；短信中用短信名称。一人联络多家单位时并列写出"),
    "单位简称": _("单位简称，没有简称时用全称"),
    "联系人": _("收信联络员姓名"),
    "称谓": _("联络员的职务；没有登记或过长时写“同志”"),
    "板块": _("单位所在板块"),
    "上年度捐款": _("上年度到账金额，如“3.2 万元”；仅写给上年度捐过的单位时使用"),
    "本次捐款": _("要致谢的到账金额，如“3.2 万元”；只用于感谢信"),
    "到账日期": _("要致谢的款项到账的日期，如“10月12日”；只用于感谢信"),
    "认捐金额": _("单位认捐的金额；仅写给已认捐的单位时使用"),
    "开始日期": _("活动开始日，如“9月1日”"),
    "截止日期": _("活动结束日，如“12月31日”"),
    "核对链接": _("单位核对联络员的网页，每位收信人一个；只用于联络信息核对函"),
    "劝募人": _("负责该单位的工作人员；未分配时为发信人"),
    "劝募人电话": _("上述工作人员的电话；短信中不可用"),
    "总会名称": _("本会名称"),
}
"""Every name that may stand between double brackets, with what is put in its place."""

SMS_BANNED_PLACEHOLDERS = ("上年度捐款", "本次捐款", "认捐金额", "劝募人电话", "核对链接")
SMS_VARIABLES = {
    "活动名称": "campaign",
    "单位名称": "unit",
    "单位简称": "unitshort",
    "联系人": "contact",
    "称谓": "title",
    "板块": "sector",
    "开始日期": "opening",
    "截止日期": "deadline",
    "到账日期": "received",
    "劝募人": "solicitor",
    "总会名称": "federation",
}
"""What the placeholders of text messages are called where a provider wants names of Latin letters.
Wordings are registered under these names: none may ever change."""
SIGNATURE = "【慈善总会】"
"""What a text message is counted with when the caller does not say how it is signed."""
LONGEST_SUBJECT = 60
ROOM_FOR_SUBJECT = 200
LONGEST_EMAIL = 2000
SMS_SINGLE, SMS_PART = 70, 67
"""Characters in a text message that is sent as one, and in each part of a longer one."""

_PLACEHOLDER = re.compile(r"[(\uff08]{2}([^()\uff08\uff09\n]*)[)\uff09]{2}")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_ENCODED_WORD = re.compile(r"=\?|\?=")
_URL = re.compile(r"https?://(?:[\w.~:/?#@!$*+=%-]|&amp;)*[\w/#=]", re.ASCII)


@dataclass(frozen=True)
class Rendered:
    subject: str
    text: str
    html: str
    """Empty for a text message."""


class Severity(Term):
    REFUSE = "refuse", _("不能保存")
    WARN = "warn", _("请留意")
    HINT = "hint", _("提示")


@dataclass(frozen=True)
class Finding:
    severity: Severity
    message: LazyString | str
    """What was found, why it matters and what to do."""


def render(version: TemplateVersion, fields: dict[str, str]) -> Rendered:
    """Puts the values in; Refused when the template has placeholders that do not exist.

    `fields` has a value for every placeholder in use. A value is put on one line and cleaned of
    control characters, since it may end up in a subject.
    """
    channel = version.template.channel
    text = _fill(version.body, fields).strip()
    if channel is Channel.SMS:
        return Rendered(subject="", text=text, html="")
    subject = _ENCODED_WORD.sub("", _fill(version.subject, fields)).strip()
    if len(subject) > ROOM_FOR_SUBJECT:  # a contact who serves many units
        subject = subject[: ROOM_FOR_SUBJECT - 1] + "…"
    return Rendered(subject=subject, text=text, html=render_html(text))


def placeholders_in(text: str) -> list[str]:
    """Names of the placeholders in use, each once, in their order."""
    return list(dict.fromkeys(name for name, _end in _pieces(text) if name))


def fill_variables(version: TemplateVersion, fields: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """(placeholder, value) in the order of the text, a placeholder that comes twice twice: what a
    provider puts into a wording that it knows by number."""
    pieces = _pieces(version.body)
    return tuple((name, _clean(fields[name])) for name, _literal in pieces if name)


def name_variables(body: str, write: Callable[[int, str], str]) -> str:
    """The text as it is registered with a provider; `write` is given the position of a
    placeholder, from 1, and its name, and returns how the provider has it written."""
    names = count(1)
    return "".join(
        (write(next(names), name) if name else "") + literal for name, literal in _pieces(body)
    )


def has_link_or_phone(text: str) -> bool:
    return bool(_LINK.search(text) or _PHONE.search(text))


def suits(version: TemplateVersion, purpose: Purpose) -> bool:
    """What thanks for a gift has nothing to say to whom has not given, and what asks to confirm
    says nothing without the link."""
    used = set(placeholders_in(f"{version.subject}\n{version.body}"))
    if purpose is Purpose.RELAY:
        return RELAY_LINK in used
    return RELAY_LINK not in used and (purpose is Purpose.THANKS or used.isdisjoint(_OF_GIFTS))


RELAY_LINK = "核对链接"
_OF_GIFTS = frozenset({"本次捐款", "到账日期"})


def render_html(text: str) -> str:
    """Plain text as an HTML e-mail: tables and inline styles, because Outlook lays out with Word;
    no image, font or script from anywhere. An empty line ends a paragraph."""
    paragraphs = [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    body = "\n".join(f'<p style="margin:0 0 16px 0">{_html_lines(part)}</p>' for part in paragraphs)
    return _HTML.replace("{body}", body)


def segments(text: str, signature: str = SIGNATURE) -> int:
    """How many text messages the provider counts: 70 characters for one, 67 for each of several,
    in UTF-16 units and with the signature."""
    length = sms_length(text, signature)
    return 1 if length <= SMS_SINGLE else -(-length // SMS_PART)


def sms_length(text: str, signature: str = SIGNATURE) -> int:
    return len((signature + text).encode("utf-16-be")) // 2


def lint(
    channel: Channel, subject: str, body: str, *, signature: str = SIGNATURE, is_appeal: bool = True
) -> list[Finding]:
    """What is wrong with a text, the worst first. A finding that refuses keeps it from being
    saved; the others are for the writer to weigh. One that asks for nothing, such as a
    correction, need not say that giving is voluntary."""
    of_channel = _lint_email if channel is Channel.EMAIL else _lint_sms
    rules = (_lint_placeholders, _lint_characters, _lint_coercion, of_channel)
    findings = [finding for rule in rules for finding in rule(subject, body)]
    if channel is Channel.EMAIL and is_appeal and body.strip() and "自愿" not in body:
        findings.append(_warn(_("正文没有说明捐赠自愿。建议加一句“捐赠完全自愿”。")))
    if channel is Channel.SMS:
        findings.append(_count_sms(body, signature))
    return sorted(findings, key=lambda finding: list(Severity).index(finding.severity))


def refusals(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is Severity.REFUSE]


# Placeholders


def _fill(text: str, fields: dict[str, str]) -> str:
    problem = _find_problem(text)
    if problem is not None:
        raise Refused(problem.message)
    return "".join(_clean(fields[name]) + rest if name else rest for name, rest in _pieces(text))


@lru_cache(maxsize=256)
def _pieces(text: str) -> tuple[tuple[str, str], ...]:
    """The text as (placeholder, literal text after it); the first placeholder may be empty.

    Brackets as a Chinese keyboard types them are taken too, but only around a name that exists:
    «(见附件(二))» stays what it is.
    """
    pieces: list[tuple[str, str]] = []
    name, start = "", 0
    for match in _PLACEHOLDER.finditer(text):
        found = match[1].strip()
        if found not in PLACEHOLDERS:
            continue
        pieces.append((name, text[start : match.start()]))
        name, start = found, match.end()
    return (*pieces, (name, text[start:]))


def _lint_placeholders(subject: str, body: str) -> Iterator[Finding]:
    for text in (subject, body):
        problem = _find_problem(text)
        if problem is not None:
            yield problem


@lru_cache(maxsize=256)
def _find_problem(text: str) -> Finding | None:
    rest = "\n".join(literal for _name, literal in _pieces(text))
    unknown = re.findall(r"\(\(([^()\n]*)\)\)", rest)
    if unknown:
        return _refuse(
            _(
                "没有这样的占位符：%(names)s。可用的占位符有：%(known)s。",
                names="、".join(f"(({name}))" for name in dict.fromkeys(unknown)),
                known="、".join(PLACEHOLDERS),
            )
        )
    is_closed_too_often = "))" in rest and rest.count("(") != rest.count(")")
    if "((" in rest or is_closed_too_often:
        position = rest.find("((") if "((" in rest else rest.find("))")
        return _refuse(
            _(
                "占位符的括号不成对：“%(near)s”。占位符前后各要两个括号，例如((单位名称))。",
                near=rest[max(position - 6, 0) : position + 10].replace("\n", " "),
            )
        )
    return None


def _clean(value: str) -> str:
    return " ".join(_CONTROL.sub(" ", value).split())


# The check


def _refuse(message: LazyString | str) -> Finding:
    return Finding(Severity.REFUSE, message)


def _warn(message: LazyString | str) -> Finding:
    return Finding(Severity.WARN, message)


def _lint_characters(subject: str, body: str) -> Iterator[Finding]:
    if _CONTROL.search(subject) or "\n" in subject or "\t" in subject:
        yield _refuse(_("主题中有换行或看不见的控制字符，可能被用来改写邮件。请删去后重新输入。"))
    if _ENCODED_WORD.search(subject):
        yield _refuse(_("主题中有“=?”或“?=”，邮件系统会把它当作编码。请删去。"))
    if _CONTROL.search(body.replace("\r\n", "\n")):
        yield _refuse(_("正文中有看不见的控制字符，多半是粘贴带入的。请删去后重新输入。"))


@dataclass(frozen=True)
class _Wording:
    pattern: re.Pattern[str]
    make: Callable[[str], Finding]
    message: LazyString
    """Takes the words that were found as `words`."""


_NEGATED = re.compile(
    r"(?:不|严禁|禁止|杜绝|防止|避免|反对|没有)"
    r"(?:搞|得|要|许|是|会|能|作|以|任何|方式|形式|的|变相|、|或|和|强制|强行|摊派)*$"
)
"""What stands before «摊派» in «不搞摊派»: then it is a promise and not a threat."""

_COERCION = (
    _Wording(
        re.compile(r"摊派|强制|强行|强迫|硬性(?:要求|规定|任务)|(?:捐款|劝募)任务"),
        _refuse,
        _("“%(words)s”有强迫之意。慈善法规定捐赠自愿，不得摊派或变相摊派。请改为自愿的说法。"),
    ),
    _Wording(
        re.compile(
            r"人均(?:不低于|不少于|至少|应达)|(?:不低于|不少于|不得少于|最低)[^,;\uff0c\uff1b。\n]{0,6}元"
            r"|[厅处科局县乡]级[^;\uff1b。\n]{0,10}元"
        ),
        _refuse,
        _("“%(words)s”规定了捐款标准，属于变相摊派。请删去金额要求。"),
    ),
    _Wording(
        re.compile(r"通报批评|未捐(?:款|赠)?(?:单位)?名单|点名|问责|纳入(?:年度)?考核|一票否决"),
        _refuse,
        _("“%(words)s”以处分或曝光相威胁，属于变相摊派。请删去。"),
    ),
    _Wording(
        re.compile(r"(?:必须|务必|一律)[^,;\uff0c\uff1b。\n]{0,12}(?:捐|认缴|缴纳|交款|到账)"),
        _refuse,
        _("“%(words)s”要求对方捐款。捐赠自愿，请改为“如有意参加，请……”。"),
    ),
    _Wording(
        re.compile(r"必须|务必|一律|限期|逾期|催[办缴款促]|排名|排行|100\s?%|全员参与|应捐尽捐"),
        _warn,
        _("“%(words)s”语气生硬，容易让人觉得是命令。请考虑更客气的说法。"),
    ),
)


def _lint_coercion(subject: str, body: str) -> Iterator[Finding]:
    text = f"{subject}\n{body}"
    refused: set[str] = set()
    for wording in _COERCION:
        words = [
            match[0]
            for match in wording.pattern.finditer(text)
            if not _NEGATED.search(text[: match.start()])
            and not any(match[0] in longer for longer in refused)
        ]
        if words:
            refused.update(words)
            yield wording.make(str(wording.message) % {"words": "、".join(dict.fromkeys(words))})


def _lint_email(subject: str, body: str) -> Iterator[Finding]:
    if not subject.strip():
        yield _refuse(_("请填写邮件主题。"))
    if len(subject) > LONGEST_SUBJECT:
        yield _warn(
            _(
                "主题有 %(count)s 字，手机上会被截断。建议不超过 %(most)s 字。",
                count=len(subject),
                most=LONGEST_SUBJECT,
            )
        )
    if not body.strip():
        yield _refuse(_("请填写正文。"))
    if len(body) > LONGEST_EMAIL:
        yield _warn(_("正文有 %(count)s 字，太长的信很少有人读完。", count=len(body)))
    if re.search(r"</?[a-zA-Z][^>]*>", body):
        yield _warn(_("正文里的网页代码会原样显示。请只写文字，版式由系统生成。"))


_APPEAL = re.compile(
    r"募捐|募款|捐款|捐赠|捐献|认捐|善款|爱心款|献爱心|奉献爱心|爱心捐|劝募|转账|汇款"
)
_LINK = re.compile(
    r"https?://|www\.|[a-z0-9-]+\.(?:cn|com|net|org|gov|edu|vip|top|xyz|cc)(?![a-z0-9])",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<!\d)(?:1[3-9]\d[- ]?\d{4}[- ]?\d{4}|0\d{2,3}[- ]?\d{7,8}|400[- ]?\d{3}[- ]?\d{4})(?!\d)"
)


def _lint_sms(_subject: str, body: str) -> Iterator[Finding]:
    if not body.strip():
        yield _refuse(_("请填写正文。"))
    names = placeholders_in(body)
    banned = [name for name in names if name in SMS_BANNED_PLACEHOLDERS]
    if banned:
        yield _refuse(
            _("短信里不能用((%(name)s))：运营商不许短信提捐款金额或带电话号码。", name=banned[0])
        )
    literal = "\n".join(rest for _name, rest in _pieces(body))
    appeals = list(dict.fromkeys(_APPEAL.findall(literal)))
    if appeals:
        yield _refuse(
            _(
                "短信里不能写“%(words)s”：运营商不许用短信募捐。短信只用作工作通知，如会议、走访预约、登记表报送。",
                words="、".join(appeals),
            )
        )
    if _LINK.search(literal):
        yield _refuse(_("短信里不能带网址，多数运营商会拦下。请改在邮件里写。"))
    if _PHONE.search(literal):
        yield _refuse(_("短信里不能写电话号码，多数运营商会拦下。"))
    if "【" in body or "】" in body:
        yield _warn(_("短信签名【】由系统自动加在开头，正文里不必再写。"))


def _count_sms(body: str, signature: str) -> Finding:
    typical = "".join(
        "某" * _TYPICAL_LENGTHS.get(name, 6) * bool(name) + rest for name, rest in _pieces(body)
    )
    count, length = segments(typical, signature), sms_length(typical, signature)
    if count == 1:
        return Finding(Severity.HINT, _("连同签名约 %(length)s 字，按 1 条计费。", length=length))
    return _warn(
        _(
            "连同签名约 %(length)s 字，按 %(count)s 条计费"
            "（70 字以内 1 条，超过则每 67 字 1 条）。",
            length=length,
            count=count,
        )
    )


_TYPICAL_LENGTHS = {
    "活动名称": 11,
    "单位名称": 10,
    "联系人": 3,
    "称谓": 2,
    "劝募人": 3,
    "总会名称": 7,
}


# The e-mail


def _html_lines(paragraph: str) -> str:
    lines = (escape(line.strip(), quote=True) for line in paragraph.strip().split("\n"))
    return "<br>\n".join(_URL.sub(_link, line) for line in lines)


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


# What a new office starts with


@dataclass(frozen=True)
class DefaultTemplate:
    name: str
    channel: Channel
    subject: str
    body: str


DEFAULT_TEMPLATES = (
    DefaultTemplate(
        name="活动联系函",
        channel=Channel.EMAIL,
        subject="关于((活动名称))的工作联系",
        body="""\
((联系人))((称谓))，您好：

((活动名称))正在开展，将于((截止日期))结束。感谢((单位名称))一直以来对慈善事业的关心和支持。

如贵单位有意参加，请回复本邮件告知大致安排，我们可以上门介绍项目、协助办理手续和开具票据。捐赠完全自愿，金额和方式由贵单位自行决定；如今年不便参加，也请告知一声，我们不再打扰。

如已办理，请忽略此信，并再次致谢。

((总会名称))
联系人：((劝募人))""",
    ),
    DefaultTemplate(
        name="致上年度参加的单位",
        channel=Channel.EMAIL,
        subject="感谢上年度支持，((活动名称))进展与联系",
        body="""\
((联系人))((称谓))，您好：

上年度((单位名称))通过慈善一日捐捐出((上年度捐款))，帮助了许多有困难的家庭，谨向贵单位全体同志表示衷心感谢。

今年的((活动名称))将于((截止日期))结束。捐赠完全自愿，是否参加、捐多捐少都由贵单位自行决定。如今年有安排，请回复本邮件，我们会安排专人上门服务；如有不便，也请放心告知。

((总会名称))
联系人：((劝募人))""",
    ),
    DefaultTemplate(
        name="登记表报送通知",
        channel=Channel.SMS,
        subject="",
        body="((联系人))您好：请于((截止日期))前报送((单位名称))联络登记表，如已报送请忽略。谢谢支持。",
    ),
    DefaultTemplate(
        name="认捐到账核对",
        channel=Channel.EMAIL,
        subject="((活动名称))认捐款项核对",
        body="""\
((联系人))((称谓))，您好：

感谢((单位名称))支持((活动名称))。贵单位曾登记自愿认捐((认捐金额))，我们这边暂时没有查到这笔款项，特来信核对。

如款项已经汇出，请把汇款日期告诉我们，便于查找和开具票据，并请原谅打扰。如安排有变化，也请告知一声，我们及时更正登记。

((总会名称))
联系人：((劝募人))""",
    ),
    DefaultTemplate(
        name="感谢信",
        channel=Channel.EMAIL,
        subject="感谢((单位名称))支持((活动名称))",
        body="""\
((联系人))((称谓))，您好：

((单位名称))自愿捐赠的((本次捐款))已于((到账日期))到账，谨向贵单位全体同志表示衷心感谢。

善款的使用情况将按规定公开。捐赠票据如需邮寄或补开，请回复本邮件告知，我们尽快办理。

((总会名称))
联系人：((劝募人))""",
    ),
    DefaultTemplate(
        name="联络信息核对函",
        channel=Channel.EMAIL,
        subject="请核对((单位名称))的联络员",
        body="""\
((联系人))((称谓))，您好：

((活动名称))将于((开始日期))开始。为了不打扰到不相关的同志，请您用一两分钟核对((单位名称))的联络员、分管领导和人数：

((核对链接))

如联络工作已交给其他同志，也请在这个网页上写明，我们以后与接手的同志联系。网页供贵单位使用，请不要转发到单位以外；不便打开的，直接回复本邮件告知即可。

这里只核对由谁联络。捐赠完全自愿，与是否核对无关。

((总会名称))
联系人：((劝募人))""",
    ),
)
"""Polite, voluntary, without ranking; the text message is a work notice and no appeal."""
