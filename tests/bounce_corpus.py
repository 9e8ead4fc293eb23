"""What mail servers write back, in the shapes in which they do: composed from a message that was
sent. Each entry of CORPUS says what it should be read as."""

import base64
import quopri
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from email import message_from_bytes

from outreach.messages.models import BounceCause
from outreach.messages.notices import Finding

F, C = Finding, BounceCause

EXCHANGE = "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@unit.example>"


@dataclass(frozen=True)
class Sent:
    """A message as a server took it."""

    data: bytes
    sender: str
    """Envelope sender: where bounces go."""
    recipient: str

    @property
    def headers(self) -> str:
        return self.data.partition(b"\r\n\r\n")[0].decode("ascii")

    @property
    def message_id(self) -> str:
        return str(message_from_bytes(self.data)["Message-ID"])


Compose = Callable[[Sent], bytes]
CORPUS: dict[str, tuple[Compose, Finding, BounceCause | None]] = {}


def mail(finding: Finding, cause: BounceCause | None = None) -> Callable[[Compose], Compose]:
    def register(compose: Compose) -> Compose:
        CORPUS[compose.__name__] = (compose, finding, cause)
        return compose

    return register


def as_bytes(text: str, charset: str = "utf-8") -> bytes:
    return re.sub(r"\r?\n", "\r\n", text.lstrip("\n")).encode(charset)


def in_base64(text: str, charset: str) -> str:
    return base64.encodebytes(text.encode(charset)).decode("ascii")


def in_words(text: str, charset: str) -> str:
    return f"=?{charset}?B?{base64.b64encode(text.encode(charset)).decode('ascii')}?="


def report(
    sent: Sent,
    *,
    sender: str = "MAILER-DAEMON@mx.unit.example (Mail Delivery System)",
    subject: str = "Undelivered Mail Returned to Sender",
    letter: str = "I'm sorry to have to inform you that your message could not be delivered.",
    per_message: str = "Reporting-MTA: dns; mx.unit.example",
    recipient: str = "",
    returned: str = "message/rfc822",
    extra: str = "",
    encode: Callable[[str], str] | None = None,
    encoding: str = "",
    is_original_encoded: bool = False,
) -> bytes:
    """A report by RFC 3464; with `encode` what it may not be: in base64 or quoted-printable."""
    original = sent.data.decode("ascii") if returned == "message/rfc822" else sent.headers
    fields = f"{per_message}\n\nFinal-Recipient: rfc822; {sent.recipient}\n{recipient}"
    mark = f"Content-Transfer-Encoding: {encoding}\n" if encoding else ""
    if encode:
        fields = encode(fields)
        original = encode(original) if is_original_encoded else original
    original_mark = mark if is_original_encoded else ""
    return as_bytes(
        f"""
Return-Path: <>
From: {sender}
To: {sent.sender}
Subject: {subject}
Date: Tue, 20 Oct 2026 10:00:05 +0800
Auto-Submitted: auto-replied
MIME-Version: 1.0
{extra}Content-Type: multipart/report; report-type=delivery-status; boundary="=_b"

This is a MIME-encapsulated message.

--=_b
Content-Type: text/plain; charset=utf-8

{letter}

--=_b
Content-Type: message/delivery-status
{mark}
{fields}

--=_b
Content-Type: {returned}
{original_mark}
{original}

--=_b--
"""
    )


def letter(
    sent: Sent,
    text: str,
    *,
    sender: str,
    subject: str,
    charset: str = "utf-8",
    kind: str = "plain",
    headers: str = "Return-Path: <>",
) -> bytes:
    """A letter without any report, in one part."""
    return as_bytes(
        f"""
{headers}
From: {sender}
To: {sent.sender}
Subject: {in_words(subject, charset)}
Date: Tue, 20 Oct 2026 10:00:05 +0800
MIME-Version: 1.0
Content-Type: text/{kind}; charset="{charset}"
Content-Transfer-Encoding: base64

{in_base64(text, charset)}
"""
    )


# Reports


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def postfix_no_such_user(sent: Sent) -> bytes:
    return report(
        sent,
        recipient=(
            f"Original-Recipient: rfc822;{sent.recipient}\nAction: failed\nStatus: 5.1.1\n"
            "Remote-MTA: dns; mx.unit.example\n"
            f"Diagnostic-Code: smtp; 550 5.1.1 <{sent.recipient}>: Recipient address\n"
            "    rejected: User unknown in local recipient table"
        ),
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def postfix_with_headers_only(sent: Sent) -> bytes:
    return report(sent, returned="text/rfc822-headers", recipient="Action: failed\nStatus: 5.1.1")


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def postfix_no_such_domain(sent: Sent) -> bytes:
    return report(
        sent,
        recipient="Action: failed\nStatus: 5.4.4\nDiagnostic-Code: X-Postfix; Host or domain name"
        " not found. Name service error for name=unit.example type=A: Host not found",
    )


@mail(F.DELAYED)
def postfix_delayed(sent: Sent) -> bytes:
    return report(
        sent,
        subject="Delayed Mail (still being retried)",
        letter="This is a warning only. You do not need to resend.\n<…>: 550 in the log earlier",
        recipient="Action: delayed\nStatus: 4.4.1\nDiagnostic-Code: X-Postfix; connect to"
        " mx.unit.example[192.0.2.1]:25: Connection timed out\nWill-Retry-Until: Sun, 25 Oct 2026",
    )


@mail(F.BOUNCED, C.GIVEN_UP)
def postfix_given_up_after_days(sent: Sent) -> bytes:
    return report(
        sent,
        recipient="Action: failed\nStatus: 4.4.1\nDiagnostic-Code: X-Postfix; connect to"
        " mx.unit.example[192.0.2.1]:25: Connection timed out",
    )


@mail(F.DELIVERED)
def postfix_delivered(sent: Sent) -> bytes:
    return report(
        sent,
        subject="Successful Mail Delivery Report",
        recipient="Action: delivered\nStatus: 2.1.5\nDiagnostic-Code: smtp; 250 2.1.5 Ok",
    )


@mail(F.NOT_OURS)
def postfix_relayed(sent: Sent) -> bytes:
    """Passed on to a server that will not tell: proves nothing."""
    return report(sent, recipient="Action: relayed\nStatus: 2.0.0")


@mail(F.BOUNCED, C.MAILBOX_FULL)
def gmail_over_quota(sent: Sent) -> bytes:
    return report(
        sent,
        sender="Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        subject="Delivery Status Notification (Failure)",
        extra=f"X-Failed-Recipients: {sent.recipient}\n",
        recipient="Action: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552-5.2.2 The email"
        " account that you tried to reach is over quota.",
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def gmail_no_such_user(sent: Sent) -> bytes:
    return report(
        sent,
        sender="Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        subject="Delivery Status Notification (Failure)",
        recipient="Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550-5.1.1 The email"
        " account that you tried to reach does not exist. Please try\n 550-5.1.1 double-checking"
        " the address for typos or unnecessary spaces. - gsmtp",
    )


@mail(F.BOUNCED, C.POLICY)
def gmail_not_authenticated(sent: Sent) -> bytes:
    return report(
        sent,
        sender="Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        recipient="Action: failed\nStatus: 5.7.26\nDiagnostic-Code: smtp; 550-5.7.26 This mail"
        " has been blocked because the sender is unauthenticated.",
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def exchange_not_found(sent: Sent) -> bytes:
    return report(
        sent,
        sender=EXCHANGE,
        subject=in_words("未送达: 关于慈善一日捐的工作联系", "utf-8"),
        letter="无法将邮件传递给以下收件人或组：\n\n找不到你输入的电子邮件地址。",
        recipient="Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp;550 5.1.1"
        " RESOLVER.ADR.RecipNotFound; not found\nX-Display-Name: 李联络",
    )


@mail(F.BOUNCED, C.POLICY)
def exchange_access_denied(sent: Sent) -> bytes:
    return report(
        sent,
        sender="postmaster@unit.example",
        subject="Undeliverable: 关于慈善一日捐的工作联系",
        recipient="Action: failed\nStatus: 5.4.1\nDiagnostic-Code: smtp;550 5.4.1 Recipient"
        " address rejected: Access denied. [AM0EUR02FT003.example]",
    )


def coded_in_base64(text: str) -> str:
    return in_base64(re.sub(r"\r?\n", "\r\n", text), "utf-8")


def coded_in_quoted_printable(text: str) -> str:
    return quopri.encodestring(text.encode()).decode("ascii")


REMOTE_NOT_FOUND = (
    "Action: failed\nStatus: 5.1.10\nRemote-MTA: dns; mail.unit.example\n"
    "Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by"
    " SMTP address lookup\nX-Display-Name: 李联络"
)


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def exchange_report_in_base64(sent: Sent) -> bytes:
    """As it leaves a gateway behind Exchange that codes whatever is not text."""
    return report(
        sent,
        sender=EXCHANGE,
        subject=in_words("未送达: 关于慈善一日捐的工作联系", "utf-8"),
        letter="无法将邮件传递给以下收件人或组。",
        per_message="Reporting-MTA: dns;mail.unit.example\nReceived-From-MTA: dns;mx.unit.example\n"
        "Arrival-Date: Tue, 20 Oct 2026 02:00:03 +0000",
        recipient=REMOTE_NOT_FOUND,
        encode=coded_in_base64,
        encoding="base64",
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def gateway_codes_all_parts(sent: Sent) -> bytes:
    return report(
        sent,
        sender="postmaster@unit.example",
        letter="See the report.",
        recipient=REMOTE_NOT_FOUND,
        encode=coded_in_base64,
        encoding="BASE64 ",
        is_original_encoded=True,
    )


@mail(F.BOUNCED, C.MAILBOX_FULL)
def gateway_report_in_quoted_printable(sent: Sent) -> bytes:
    """The long line is broken in the middle of the words that say why."""
    return report(
        sent,
        letter="See the report.",
        recipient="Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 552 id=3D7A queue=4F1C"
        " host=mx1.unit.example 5.2.2 <…>: the mailbox is full, over quota",
        encode=coded_in_quoted_printable,
        encoding="quoted-printable",
    )


@mail(F.DELAYED)
def gateway_delay_in_base64(sent: Sent) -> bytes:
    return report(
        sent,
        letter="See the report.",
        recipient="Action: delayed\nStatus: 4.4.7\nDiagnostic-Code: smtp; 451 4.4.7 try later",
        encode=coded_in_base64,
        encoding="base64",
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def gateway_says_base64_and_writes_text(sent: Sent) -> bytes:
    return report(sent, recipient=REMOTE_NOT_FOUND, encoding="base64")


@mail(F.NOT_OURS)
def gateway_breaks_the_base64(sent: Sent) -> bytes:
    """One letter is lost: all after it is noise."""
    return report(
        sent,
        recipient=REMOTE_NOT_FOUND,
        encode=lambda text: "*" + coded_in_base64(text)[1:],
        encoding="base64",
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def exim_report(sent: Sent) -> bytes:
    return report(
        sent,
        sender="Mail Delivery System <Mailer-Daemon@mail.unit.example>",
        subject="Mail delivery failed: returning message to sender",
        extra=f"X-Failed-Recipients: {sent.recipient}\n",
        letter=f"A message that you sent could not be delivered.\n\n  {sent.recipient}\n"
        "    Unrouteable address",
        recipient="Action: failed\nStatus: 5.0.0",
        returned="text/rfc822-headers",
    )


@mail(F.BOUNCED, C.OTHER)
def a_report_that_gives_no_reason(sent: Sent) -> bytes:
    return report(sent, recipient="Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 no")


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def coremail_report_in_gbk(sent: Sent) -> bytes:
    """163 and many government servers."""
    text = report(
        sent,
        sender=f"{in_words('系统管理员', 'gbk')} <Postmaster@163.com>",
        subject=in_words("系统退信", "gbk"),
        letter=f"抱歉，您的邮件被退回来了……\n收件人：{sent.recipient}\n退信原因：用户不存在",
        recipient="Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 User not found",
    ).decode()
    return text.replace("charset=utf-8", "charset=gb2312", 1).encode("gbk")


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def a_report_behind_a_disclaimer(sent: Sent) -> bytes:
    """A gateway has wrapped the report and put its own footer below."""
    inner = postfix_no_such_user(sent).decode()
    body = inner[inner.index("Content-Type: multipart/report") :]
    return as_bytes(
        f"""
From: MAILER-DAEMON@mx.unit.example
To: {sent.sender}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_outer"

--=_outer
{body}
--=_outer
Content-Type: text/plain; charset=utf-8

本邮件已经过安全网关检查，检测代码 4.2.1。
--=_outer--
"""
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def a_report_that_is_cut_off(sent: Sent) -> bytes:
    """After the headers of the returned message, in the middle of its body."""
    data = postfix_no_such_user(sent)
    return data[: data.index(sent.data[-200:]) - 20]


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def a_report_of_five_megabytes(sent: Sent) -> bytes:
    big = sent.data + base64.encodebytes(bytes(3_900_000)).replace(b"\n", b"\r\n")
    return postfix_no_such_user(replace(sent, data=big))


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def a_report_in_capitals_and_with_comments(sent: Sent) -> bytes:
    return report(
        sent,
        recipient="ACTION: Failed (no such mailbox)\nSTATUS: 5.1.1 (bad destination mailbox)",
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def a_report_in_another_language(sent: Sent) -> bytes:
    """RFC 6533: its type is not one that the e-mail package knows."""
    text = report(sent, recipient="Action: failed\nStatus: 5.1.1").decode()
    return text.replace("message/delivery-status", "message/global-delivery-status").encode()


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def a_report_about_two_places(sent: Sent) -> bytes:
    """The message was passed on to two mailboxes; one of them is gone."""
    return report(
        sent,
        recipient="Action: delivered\nStatus: 2.0.0\n\n"
        f"Final-Recipient: rfc822; {sent.recipient}\nAction: failed\nStatus: 5.1.1",
    )


# Letters


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def qmail(sent: Sent) -> bytes:
    return letter(
        sent,
        "Hi. This is the qmail-send program at mx.unit.example.\nI'm afraid I wasn't able to"
        " deliver your message to the following addresses.\nThis is a permanent error; I've given"
        f" up. Sorry it didn't work out.\n\n<{sent.recipient}>:\nSorry, no mailbox here by that"
        " name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n\n"
        f"Return-Path: <{sent.sender}>\n{sent.data.decode('ascii')}",
        sender="MAILER-DAEMON@mx.unit.example",
        subject="failure notice",
    )


@mail(F.BOUNCED, C.GIVEN_UP)
def qmail_given_up(sent: Sent) -> bytes:
    return letter(
        sent,
        f"Hi. This is the qmail-send program.\n\n<{sent.recipient}>:\nI'm not going to try again;"
        " this message has been in the queue too long. (#4.4.1)\n\n--- Below this line is a copy"
        f" of the message.\n\n{sent.data.decode('ascii')}",
        sender="MAILER-DAEMON@mx.unit.example",
        subject="failure notice",
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def exim_letter(sent: Sent) -> bytes:
    return letter(
        sent,
        "This message was created automatically by mail delivery software.\n\nA message that you"
        f" sent could not be delivered to one or more of its recipients.\n\n  {sent.recipient}\n"
        "    host mx.unit.example [192.0.2.1]\n    SMTP error from remote mail server after"
        f" RCPT TO:<{sent.recipient}>:\n    550 5.1.1 User unknown\n\n------ This is a copy of the"
        f" message, including all the headers. ------\n\n{sent.headers}\n",
        sender="Mail Delivery System <Mailer-Daemon@mail.unit.example>",
        subject="Mail delivery failed: returning message to sender",
        headers=f"Return-Path: <>\nX-Failed-Recipients: {sent.recipient}",
    )


@mail(F.DELAYED)
def exim_delayed(sent: Sent) -> bytes:
    return letter(
        sent,
        f"A message that you sent has not yet been delivered.\n\n  {sent.recipient}\n    host"
        " mx.unit.example: 451 4.7.1 Greylisted\n\nNo action is required on your part. Delivery"
        f" attempts will continue for some time.\n\n{sent.headers}\n",
        sender="Mail Delivery System <Mailer-Daemon@mail.unit.example>",
        subject="Warning: message 1abc delayed 24 hours",
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def qq_letter(sent: Sent) -> bytes:
    return letter(
        sent,
        "<html><head><style>p {color: red}</style></head><body><p>抱歉，您的邮件无法送达。</p>"
        f"<div>收件人：&lt;{sent.recipient}&gt;</div><div>原因：收件人邮箱不存在，无法投递</div>"
        "<div>550 Mailbox not found. http://service.mail.qq.com/cgi-bin/help?no=1000728</div>"
        f"<div>Message-ID: &lt;{sent.message_id.strip('<>')}&gt;</div></body></html>",
        sender="PostMaster@qq.com",
        subject="系统退信/Returned mail",
        charset="gb18030",
        kind="html",
    )


@mail(F.BOUNCED, C.POLICY)
def qq_content_refused(sent: Sent) -> bytes:
    return letter(
        sent,
        f"您发给 {sent.recipient} 的邮件被退回。\n退信原因：550 Mail content denied."
        f" 内容被对方反垃圾系统拒收。\n\n邮件原文：\n{sent.headers}\n",
        sender="PostMaster@qq.com",
        subject="系统退信",
    )


@mail(F.BOUNCED, C.POLICY)
def netease_spam(sent: Sent) -> bytes:
    return letter(
        sent,
        f"抱歉，您的邮件被退回来了。\n原邮件信息：\n收件人：{sent.recipient}\n退信代码：554 DT:SPM"
        f" 163 smtp12,EMCowABX,1697768405\n退信原因：被识别为垃圾邮件\n\n{sent.headers}\n",
        sender=f"{in_words('邮件系统', 'gbk')} <Postmaster@163.com>",
        subject="系统退信",
        charset="gbk",
    )


@mail(F.BOUNCED, C.MAILBOX_FULL)
def netease_full(sent: Sent) -> bytes:
    return letter(
        sent,
        f"您的邮件未能送达 {sent.recipient}。\n退信原因：552 Quota exceeded，对方信箱容量已满。\n"
        f"\n----- 原始邮件 -----\n{sent.headers}\n",
        sender="Postmaster@126.com",
        subject="系统退信",
        charset="gb2312",
    )


@mail(F.DELAYED)
def chinese_delay(sent: Sent) -> bytes:
    return letter(
        sent,
        f"您发给 {sent.recipient} 的邮件暂时未能送达，系统将继续尝试投递 48 小时。\n450 4.2.1\n\n"
        f"{sent.headers}\n",
        sender="postmaster@unit.example",
        subject="投递状态通知",
        charset="gbk",
    )


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def exchange_letter(sent: Sent) -> bytes:
    """The report was lost on the way through a gateway; the text of the old Exchange is left."""
    return letter(
        sent,
        "您的邮件未能送达部分或全部收件人。\n\n      主题:\t关于慈善一日捐的工作联系\n\n以下收件人"
        f"无法送达:\n\n      {sent.recipient}\n            该电子邮件账户在此组织中不存在。\n"
        f"            <mail.unit.example #5.1.1>\n\nOriginal message headers:\n\n{sent.headers}\n",
        sender="System Administrator <postmaster@unit.example>",
        subject="未送达: 关于慈善一日捐的工作联系",
        charset="gbk",
    )


@mail(F.NOT_OURS)
def a_letter_that_leaves_doubts(sent: Sent) -> bytes:
    """Neither a code nor clear words; our own text, which is quoted, must not count for them."""
    return letter(
        sent,
        f"Your message to {sent.recipient} could not be processed.\n\n--- Original message ---\n"
        f"{sent.headers}\n\n550 5.1.1 用户不存在，多次投递失败\n",
        sender="postmaster@unit.example",
        subject="Notice",
    )


# What is no bounce


@mail(F.AUTO_REPLY)
def out_of_office(sent: Sent) -> bytes:
    return letter(
        sent,
        "本人外出开会，10月26日回。如有急事请拨打 550 分机。原邮箱不存在的问题请找网管。\n"
        f"\n{sent.message_id}\n{sent.recipient}",
        sender=sent.recipient,
        subject="自动回复: 关于慈善一日捐的工作联系",
        headers=f"Return-Path: <>\nAuto-Submitted: auto-replied\nIn-Reply-To: {sent.message_id}",
    )


@mail(F.AUTO_REPLY)
def out_of_office_by_exchange(sent: Sent) -> bytes:
    return letter(
        sent,
        "I am out of the office until 2026-10-26.",
        sender=sent.recipient,
        subject="Automatic reply: 关于慈善一日捐的工作联系",
        headers=f"X-Auto-Response-Suppress: All\nIn-Reply-To: {sent.message_id}",
    )


@mail(F.NOT_OURS)
def an_answer_by_a_person(sent: Sent) -> bytes:
    return letter(
        sent,
        f"收到，谢谢。\n> 5.1.1 用户不存在\n> {sent.message_id}",
        sender=sent.recipient,
        subject="Re: 关于慈善一日捐的工作联系",
        headers=f"In-Reply-To: {sent.message_id}",
    )


@mail(F.NOT_OURS)
def a_receipt_of_reading(sent: Sent) -> bytes:
    return as_bytes(
        f"""
From: {sent.recipient}
To: {sent.sender}
Subject: Read: x
MIME-Version: 1.0
Content-Type: multipart/report; report-type=disposition-notification; boundary="=_b"

--=_b
Content-Type: message/disposition-notification

Original-Message-ID: {sent.message_id}
Disposition: manual-action/MDN-sent-manually; displayed
--=_b--
"""
    )


def feedback(sent: Sent, kind: str, *, redacted: bool = False) -> bytes:
    headers = sent.headers.replace(sent.recipient, "redacted") if redacted else sent.headers
    return as_bytes(
        f"""
From: <feedback@provider.example>
To: {sent.sender}
Subject: FW: 关于慈善一日捐的工作联系
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=_b"

--=_b
Content-Type: text/plain

This is an email abuse report.
--=_b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
--=_b
Content-Type: message/rfc822

{headers}

--=_b--
"""
    )


@mail(F.COMPLAINT)
def complaint(sent: Sent) -> bytes:
    return feedback(sent, "abuse")


@mail(F.COMPLAINT)
def complaint_that_hides_the_recipient(sent: Sent) -> bytes:
    """The signed opt-out link in the returned headers tells who complained."""
    return feedback(sent, "abuse", redacted=True)


@mail(F.NOT_OURS)
def feedback_that_is_no_complaint(sent: Sent) -> bytes:
    return feedback(sent, "not-spam")


# What is somebody else's, or pretends


def about_another(sent: Sent, message_id: str) -> Sent:
    return replace(sent, data=sent.data.replace(sent.message_id.encode(), message_id.encode()))


@mail(F.NOT_OURS)
def a_bounce_of_another_system(sent: Sent) -> bytes:
    return postfix_no_such_user(about_another(sent, "<20261020.77@charity.example>"))


@mail(F.NOT_OURS)
def a_bounce_of_another_domain(sent: Sent) -> bytes:
    foreign = sent.message_id.replace("@charity.example", "@charity.example.evil.example")
    return postfix_no_such_user(about_another(sent, foreign))


@mail(F.FORGED)
def a_message_that_never_was(sent: Sent) -> bytes:
    return postfix_no_such_user(about_another(sent, "<outreach-999999.0@charity.example>"))


@mail(F.FORGED)
def a_sending_that_never_was(sent: Sent) -> bytes:
    return postfix_no_such_user(about_another(sent, sent.message_id.replace(".0@", ".7@")))


@mail(F.FORGED)
def a_guess_without_the_address(sent: Sent) -> bytes:
    """Whoever guesses the number of a message does not know to whom it went."""
    data = f"Message-ID: {sent.message_id}\r\nSubject: x\r\n\r\nx\r\n".encode()
    return postfix_no_such_user(Sent(data, sent.sender, "somebody@else.example"))


# What is broken


@mail(F.NOT_OURS)
def nothing_at_all(_sent: Sent) -> bytes:
    return b""


@mail(F.NOT_OURS)
def noise(_sent: Sent) -> bytes:
    return bytes(range(256)) * 40


@mail(F.NOT_OURS)
def a_report_without_content(sent: Sent) -> bytes:
    return postfix_no_such_user(sent).partition(b"--=_b")[0]


@mail(F.UNREADABLE)
def parts_in_parts_without_end(_sent: Sent) -> bytes:
    levels = (
        f'Content-Type: multipart/mixed; boundary="b{number}"\r\n\r\n--b{number}\r\n'
        for number in range(3000)
    )
    return "".join(levels).encode()


@mail(F.BOUNCED, C.NO_SUCH_ADDRESS)
def an_unknown_charset(sent: Sent) -> bytes:
    return exim_letter(sent).replace(b'charset="utf-8"', b'charset="x-martian-7"')
