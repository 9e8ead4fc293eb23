"""What a recipient reads: the values of the placeholders, and the whole wave as it would go out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property

from flask import current_app
from flask_babel import lazy_gettext as _

from outreach import clock, money
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.messages import rendering
from outreach.messages.models import Channel, TemplateVersion, Wave, WaveStatus
from outreach.messages.queries import SendingState
from outreach.messages.rendering import Finding, Rendered, Severity
from outreach.messages.templates import sms_signature
from outreach.reminders.audience import Member, Recipient, group
from outreach.units.models import Contact, Unit
from outreach.web import format_moment

LONGEST_TITLE = 4
"""A title such as «副局长» goes with a name; a longer one («党组成员、副局长») does not."""
LONGEST_SMS_NAME = 20


@dataclass(frozen=True)
class Letter:
    """One message as its recipient will read it."""

    recipient: Recipient
    rendered: Rendered
    reply_to: str
    holes: tuple[str, ...]
    """Placeholders in use that have no content for this recipient."""

    @property
    def units(self) -> str:
        return "、".join(member.solicitation.unit.name for member in self.recipient.members)


@dataclass(frozen=True)
class Preview:
    """A wave before it goes out: every letter, and every unit that is left out."""

    version: TemplateVersion
    letters: list[Letter]
    left_out: list[Member]

    @property
    def unit_count(self) -> int:
        """Units that are written to; more than letters when a contact serves several."""
        return sum(len(letter.recipient.members) for letter in self.letters)

    @property
    def shared(self) -> list[Letter]:
        return [letter for letter in self.letters if len(letter.recipient.members) > 1]

    @property
    def longest(self) -> Letter:
        return max(self.letters, key=lambda letter: len(letter.rendered.text))

    @property
    def shortest(self) -> Letter:
        return min(self.letters, key=lambda letter: len(letter.rendered.text))

    @cached_property
    def findings(self) -> list[Finding]:
        version = self.version
        channel = version.template.channel
        found = rendering.lint(channel, version.subject, version.body, signature=sms_signature())
        found += _find_holes(self.letters)
        if channel is Channel.SMS and self.letters:
            found += _count_segments(self.letters)
        order = list(Severity)
        return sorted(found, key=lambda finding: order.index(finding.severity))


def preview(
    campaign: Campaign, version: TemplateVersion, members: Sequence[Member], author: User
) -> Preview:
    """`author` answers for the units that have no solicitor."""
    writer = _Writer(campaign, version, author)
    return Preview(
        version=version,
        letters=[writer.write(recipient) for recipient in group(members)],
        left_out=[member for member in members if member.withheld is not None],
    )


def federation_name() -> str:
    return current_app.extensions["outreach.settings"].mail_sender_name


class _Writer:
    """Renders a template for one recipient after the other."""

    def __init__(self, campaign: Campaign, version: TemplateVersion, author: User) -> None:
        self.campaign, self.version, self.author = campaign, version, author
        self.used = rendering.placeholders_in(f"{version.subject}\n{version.body}")

    def write(self, recipient: Recipient) -> Letter:
        fields = self.fields(recipient)
        return Letter(
            recipient=recipient,
            rendered=rendering.render(self.version, fields),
            reply_to=self._solicitor(recipient).email,
            holes=tuple(name for name in self.used if not fields[name]),
        )

    def fields(self, recipient: Recipient) -> dict[str, str]:
        standings = [member.standing for member in recipient.members]
        units = [standing.solicitation.unit for standing in standings]
        solicitor = self._solicitor(recipient)
        return {
            "活动名称": self.campaign.name,
            "单位名称": self._name_units(units),
            "单位简称": "、".join(unit.short_name or unit.name for unit in units),
            "联系人": recipient.contact.name,
            "称谓": form_of_address(recipient.contact),
            "板块": "、".join(
                dict.fromkeys(standing.solicitation.sector.name for standing in standings)
            ),
            "上年度捐款": describe_amount(sum(standing.previous_fen for standing in standings)),
            "认捐金额": describe_amount(sum(standing.pledged_fen for standing in standings)),
            **self._name_gifts(recipient),
            "截止日期": describe_day(self.campaign.ends_on),
            "劝募人": solicitor.name,
            "劝募人电话": solicitor.mobile.removeprefix("+86"),
            "总会名称": federation_name(),
        }

    def _solicitor(self, recipient: Recipient) -> User:
        solicitors = (member.solicitation.solicitor for member in recipient.members)
        return next((user for user in solicitors if user is not None), self.author)

    def _name_gifts(self, recipient: Recipient) -> dict[str, str]:
        gifts = [member.gift for member in recipient.members if member.gift]
        return {
            "本次捐款": describe_amount(sum(gift.amount_fen for gift in gifts)),
            "到账日期": describe_day(max(gift.received_on for gift in gifts)) if gifts else "",
        }

    def _name_units(self, units: list[Unit]) -> str:
        if self.version.template.channel is Channel.EMAIL:
            return "、".join(unit.name for unit in units)
        names = [unit.sms_name or unit.short_name or unit.name for unit in units]
        joined = "、".join(names)
        if len(joined) <= LONGEST_SMS_NAME or len(names) == 1:
            return joined
        return f"{names[0]}等{len(names)}家单位"


def form_of_address(contact: Contact) -> str:
    is_plain = contact.title.isalpha() and len(contact.title) <= LONGEST_TITLE
    return contact.title if is_plain else "同志"


def describe_amount(fen: int) -> str:
    """«3.2 万元», exact to the yuan, or «8,000 元» below one 万; empty for nothing."""
    if fen <= 0:
        return ""
    if fen < money.FEN_PER_WAN_YUAN or fen % money.FEN_PER_YUAN:
        return f"{money.format_yuan(fen)} 元"
    return f"{(Decimal(fen) / money.FEN_PER_WAN_YUAN).normalize():,f} 万元"


def describe_day(day: date) -> str:
    return f"{day.month}月{day.day}日"


def _find_holes(letters: list[Letter]) -> list[Finding]:
    by_name: dict[str, list[Letter]] = {}
    for letter in letters:
        for name in letter.holes:
            by_name.setdefault(name, []).append(letter)
    return [
        Finding(
            Severity.REFUSE,
            _(
                "((%(name)s))对 %(count)s 位收件人没有内容（%(units)s等），信里会出现空白。"
                "请补全资料、缩小范围，或换用不含它的模板。",
                name=name,
                count=len(empty),
                units="、".join(letter.units for letter in empty[:3]),
            ),
        )
        for name, empty in by_name.items()
    ]


def _count_segments(letters: list[Letter]) -> list[Finding]:
    counts = [rendering.segments(letter.rendered.text, sms_signature()) for letter in letters]
    text = _(
        "按实际收件人计算共 %(total)s 条计费，最长的 %(most)s 条。",
        total=sum(counts),
        most=max(counts),
    )
    return [Finding(Severity.HINT, text)]


# What will happen next


def foretell(wave: Wave, letters: Preview, sending: SendingState) -> str:
    """One sentence: what happens to a wave that has not begun."""
    count = count_letters(letters.version.template.channel, len(letters.letters))
    sentence = _BEFORE[wave.status] % {"count": count, "when": _when(wave)}
    if letters.unit_count > len(letters.letters):
        sentence += str(_("，涉及 %(count)s 家单位", count=letters.unit_count))
    if letters.left_out:
        sentence += str(_("；另有 %(count)s 家未列入，原因见下", count=len(letters.left_out)))
    sentence += "。"
    if wave.status in {WaveStatus.IN_REVIEW, WaveStatus.APPROVED, WaveStatus.HELD}:
        sentence += str(sending.reason)
    return sentence


def count_letters(channel: Channel, count: int) -> str:
    if channel is Channel.SMS:
        return str(_("%(count)s 条短信", count=count))
    return str(_("%(count)s 封邮件", count=count))


_BEFORE = {
    WaveStatus.DRAFT: _("按现在的情况将发出 %(count)s"),
    WaveStatus.IN_REVIEW: _("批准后%(when)s发出 %(count)s"),
    WaveStatus.APPROVED: _("已批准，将%(when)s发出 %(count)s"),
    WaveStatus.HELD: _("放行后立即发出 %(count)s"),
    WaveStatus.CANCELLED: _("已取消，没有发出。原定发出 %(count)s"),
}


def _when(wave: Wave) -> str:
    if wave.starts_at <= clock.now():
        return str(_("立即"))
    return str(_("于 %(moment)s ", moment=format_moment(wave.starts_at)))
