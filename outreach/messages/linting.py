"""The check before a text is kept: what providers ban, what sounds like pressure, what would not
arrive as it was meant. Each finding says why it matters and what to do."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.errors import Refused
from outreach.messages import coercion
from outreach.messages.models import Channel
from outreach.messages.placeholders import CONTROL, find_problem, pieces_of, placeholders_in
from outreach.messages.reading import read
from outreach.messages.rendering import ENCODED_WORD, SIGNATURE, segments, sms_length
from outreach.terms import Term

SMS_BANNED_PLACEHOLDERS = ("上年度捐款", "本次捐款", "认捐金额", "劝募人电话", "核对链接")
LONGEST_SUBJECT = 60
LONGEST_EMAIL = 2000


class Severity(Term):
    REFUSE = "refuse", _("不能保存")
    WARN = "warn", _("请留意")
    HINT = "hint", _("提示")


@dataclass(frozen=True)
class Finding:
    severity: Severity
    message: LazyString | str
    """What was found, why it matters and what to do."""


def lint(
    channel: Channel, subject: str, body: str, *, signature: str = SIGNATURE, is_appeal: bool = True
) -> list[Finding]:
    """What is wrong with a text, the worst first. A finding that refuses keeps it from being
    saved; the others are for the writer to weigh. One that asks for nothing, such as a
    correction, need not say that giving is voluntary."""
    of_channel = _lint_email if channel is Channel.EMAIL else _lint_sms
    rules = (_lint_placeholders, _lint_characters, _lint_coercion, of_channel)
    findings = [finding for rule in rules for finding in rule(subject, body)]
    if channel is Channel.EMAIL and is_appeal and body.strip() and "自愿" not in read(body).text:
        findings.append(_warn(_("正文没有说明捐赠自愿。建议加一句“捐赠完全自愿”。")))
    if channel is Channel.SMS:
        findings.append(_count_sms(body, signature))
    return sorted(findings, key=lambda finding: list(Severity).index(finding.severity))


def refuse_pressure(text: str) -> None:
    """The same for what is sent as somebody wrote it, without a template."""
    for is_refused, message in coercion.find(text):
        if is_refused:
            raise Refused(_("这份通知还不能发送：%(found)s", found=message))


def refusals(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is Severity.REFUSE]


def has_link_or_phone(text: str) -> bool:
    plain = read(text).text
    return bool(_LINK.search(plain) or _PHONE.search(plain))


def find_appeals(text: str) -> list[str]:
    """Words that ask for gifts, each once; «慈善一日捐» is a name and none of them."""
    return list(dict.fromkeys(read(text).find(_APPEAL)))


def _lint_placeholders(subject: str, body: str) -> Iterator[Finding]:
    for text in (subject, body):
        problem = find_problem(text)
        if problem is not None:
            yield _refuse(problem)


def _refuse(message: LazyString | str) -> Finding:
    return Finding(Severity.REFUSE, message)


def _warn(message: LazyString | str) -> Finding:
    return Finding(Severity.WARN, message)


def _lint_characters(subject: str, body: str) -> Iterator[Finding]:
    if CONTROL.search(subject) or "\n" in subject or "\t" in subject:
        yield _refuse(_("主题中有换行或看不见的控制字符，可能被用来改写邮件。请删去后重新输入。"))
    if ENCODED_WORD.search(subject):
        yield _refuse(_("主题中有“=?”或“?=”，邮件系统会把它当作编码。请删去。"))
    if CONTROL.search(body.replace("\r\n", "\n")):
        yield _refuse(_("正文中有看不见的控制字符，多半是粘贴带入的。请删去后重新输入。"))


def _lint_coercion(subject: str, body: str) -> Iterator[Finding]:
    for is_refused, message in coercion.find(f"{subject}\n{body}"):
        yield _refuse(message) if is_refused else _warn(message)


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
    r"https?://|www\.|[a-z0-9-]\.(?:cn|com|net|org|gov|edu|vip|top|xyz|cc)(?![a-z0-9])",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<!\d)(?:(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}|0\d{2,3}[-) ]{0,2}\d{7,8}"
    r"|400[- ]?\d{3}[- ]?\d{4})(?!\d)"
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
    literal = "\n".join(rest for _name, rest in pieces_of(body))
    appeals = find_appeals(literal)
    if appeals:
        yield _refuse(
            _(
                "短信里不能写“%(words)s”：运营商不许用短信募捐。短信只用作工作通知，如会议、走访预约、登记表报送。",
                words="、".join(appeals),
            )
        )
    plain = read(literal).text
    if _LINK.search(plain):
        yield _refuse(_("短信里不能带网址，多数运营商会拦下。请改在邮件里写。"))
    if _PHONE.search(plain):
        yield _refuse(_("短信里不能写电话号码，多数运营商会拦下。"))
    if "【" in body or "】" in body:
        yield _warn(_("短信签名【】由系统自动加在开头，正文里不必再写。"))


def _count_sms(body: str, signature: str) -> Finding:
    typical = "".join(
        "某" * _TYPICAL_LENGTHS.get(name, 6) * bool(name) + rest for name, rest in pieces_of(body)
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
