"""What a recipient reads: the values of the placeholders, and the whole wave as it would go out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property

from flask import current_app
from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach import clock, money
from outreach.accounts.models import User
from outreach.campaigns.gate import has_ended
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.messages import coercion, linting, placeholders, rates, rendering
from outreach.messages.linting import Finding, Severity
from outreach.messages.models import Channel, Purpose, TemplateVersion, Wave, WaveStatus
from outreach.messages.provider_rules import find_faults
from outreach.messages.queries import SendingState, hours_at
from outreach.messages.rendering import Rendered
from outreach.messages.templates import sms_signature
from outreach.relay.links import hide_links, relay_link
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
    version: TemplateVersion
    rendered: Rendered
    reply_to: str
    holes: tuple[str, ...]
    """Placeholders in use that have no content for this recipient."""
    gaps: tuple[str, ...]
    """Placeholders in use of which nothing is on record: holes, and those that something stands
    in for."""
    variables: tuple[tuple[str, str], ...] = ()
    """Of a text message: what its provider puts into the wording that it knows by number."""

    @property
    def segments(self) -> int:
        """Text messages that the provider counts; 0 for mail."""
        if self.recipient.channel is not Channel.SMS:
            return 0
        return rendering.segments(self.rendered.text, sms_signature())

    @property
    def units(self) -> str:
        return "、".join(member.solicitation.unit.name for member in self.recipient.by_unit)


@dataclass(frozen=True)
class Preview:
    """A wave before it goes out: every letter, and every unit that is left out."""

    campaign: Campaign
    version: TemplateVersion
    letters: list[Letter]
    left_out: list[Member]
    spare: list[Letter]
    """What recipients read over the other channel when the first one fails for good."""
    purpose: Purpose = Purpose.REMINDER
    fallback: TemplateVersion | None = None

    @property
    def channels(self) -> list[tuple[Channel, int]]:
        """How many letters go out by each channel that occurs, the wave's first one first."""
        counts = Counter(letter.recipient.channel for letter in self.letters)
        first = self.version.template.channel
        return sorted(counts.items(), key=lambda item: item[0] is not first)

    @property
    def unit_count(self) -> int:
        """Units that are written to; more than letters when a contact serves several."""
        return sum(len(letter.recipient.by_unit) for letter in self.letters)

    @property
    def shared(self) -> list[Letter]:
        return [letter for letter in self.letters if len(letter.recipient.by_unit) > 1]

    @property
    def longest(self) -> Letter:
        return max(self.letters, key=lambda letter: len(letter.rendered.text))

    @property
    def shortest(self) -> Letter:
        return min(self.letters, key=lambda letter: len(letter.rendered.text))

    @cached_property
    def findings(self) -> list[Finding]:
        letters = self.letters + self.spare
        found = _find_holes(letters) + _count_segments(self)
        for version in (self.version, self.fallback):
            if version is None:
                continue
            if self.purpose is Purpose.RELAY and not placeholders.suits(version, self.purpose):
                text = _("信里没有((核对链接))，收信人无从核对。请换用带有它的模板。")
                found.append(Finding(Severity.REFUSE, text))
            channel = version.template.channel
            found += linting.lint(
                channel,
                version.subject,
                version.body,
                signature=sms_signature(),
                is_appeal=self.purpose is Purpose.REMINDER,
            )
            if channel is Channel.SMS:
                theirs = (letter for letter in letters if letter.version is version)
                found += find_faults(version, ((one.units, one.variables) for one in theirs))
        found += _find_pressure(self, found)
        order = list(Severity)
        return sorted(found, key=lambda finding: order.index(finding.severity))


def preview(
    campaign: Campaign,
    version: TemplateVersion,
    members: Sequence[Member],
    author: User,
    *,
    fallback: TemplateVersion | None = None,
    purpose: Purpose = Purpose.REMINDER,
) -> Preview:
    """`author` answers for the units that have no solicitor; `fallback` is the text for the other
    channel."""
    writers = {
        text.template.channel: Writer(campaign, text, author)
        for text in (version, fallback)
        if text is not None
    }
    recipients = group(members)
    seconds = [second for recipient in recipients if (second := recipient.second)]
    return Preview(
        campaign=campaign,
        version=version,
        letters=[writers[recipient.channel].write(recipient) for recipient in recipients],
        left_out=[member for member in members if member.withheld is not None],
        spare=[writers[second.channel].write(second) for second in seconds],
        purpose=purpose,
        fallback=fallback,
    )


def without_links(letter: Letter) -> Letter:
    """As somebody of the office reads it: a link to confirm by is the unit's own signature."""
    rendered = letter.rendered
    return replace(letter, rendered=replace(rendered, text=hide_links(rendered.text)))


def federation_name() -> str:
    return current_app.extensions["outreach.settings"].mail_sender_name


class Writer:
    """Renders a template for one recipient after the other."""

    def __init__(self, campaign: Campaign, version: TemplateVersion, author: User) -> None:
        self.campaign, self.version, self.author = campaign, version, author
        self.used = placeholders.placeholders_in(f"{version.subject}\n{version.body}")

    def write(self, recipient: Recipient) -> Letter:
        fields = self.fields(recipient)
        missing = self._missing(recipient)
        solicitor = self._solicitor(recipient)
        is_sms = self.version.template.channel is Channel.SMS
        return Letter(
            recipient=recipient,
            version=self.version,
            rendered=rendering.render(self.version, fields),
            reply_to=solicitor.email if solicitor else "",
            holes=tuple(name for name in self.used if not fields[name]),
            gaps=tuple(name for name in self.used if not fields[name] or name in missing),
            variables=placeholders.fill_variables(self.version, fields) if is_sms else (),
        )

    def fields(self, recipient: Recipient) -> dict[str, str]:
        standings = [member.standing for member in recipient.by_unit]
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
            "开始日期": describe_day(self.campaign.starts_on),
            "截止日期": describe_day(self.campaign.ends_on),
            "核对链接": relay_link(
                self.campaign, [member.contact for member in recipient.members if member.contact]
            ),
            "劝募人": solicitor.name if solicitor else federation_name(),
            "劝募人电话": solicitor.mobile.removeprefix("+86") if solicitor else "",
            "总会名称": federation_name(),
        }

    def _missing(self, recipient: Recipient) -> set[str]:
        """Placeholders in whose place something else stands for this recipient."""
        solicitations = [member.solicitation for member in recipient.members]
        units = [solicitation.unit for solicitation in solicitations]
        is_sms = self.version.template.channel is Channel.SMS
        stand_ins = {
            "单位简称": not all(unit.short_name for unit in units),
            "单位名称": is_sms and not all(unit.sms_name for unit in units),
            "称谓": not recipient.contact.title,
            "劝募人": not all(
                solicitation.solicitor and solicitation.solicitor.is_enabled
                for solicitation in solicitations
            ),
        }
        return {name for name, is_missing in stand_ins.items() if is_missing}

    def _solicitor(self, recipient: Recipient) -> User | None:
        """Not one who has left the office: answers would come to nobody. None when the author has
        left, too: the letter names the federation, and answers go where it comes from."""
        people = [member.solicitation.solicitor for member in recipient.members] + [self.author]
        return next((user for user in people if user and user.is_enabled), None)

    def _name_gifts(self, recipient: Recipient) -> dict[str, str]:
        gifts = [member.gift for member in recipient.by_unit if member.gift]
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
    seen = set()
    for letter in letters:
        for name in letter.holes:
            who = letter.recipient.contact.id
            if (who, name) not in seen:  # a letter and what stands by for it are one recipient's
                by_name.setdefault(name, []).append(letter)
            seen.add((who, name))
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


def _find_pressure(letters: Preview, told: list[Finding]) -> Iterator[Finding]:
    """What presses people though the templates do not: a name that stands in every letter, or
    what the values make of the words around them. One letter of each channel is read."""
    every = reversed(letters.letters + letters.spare)
    samples = {letter.recipient.channel: letter.rendered for letter in every}
    texts = [f"{rendered.subject}\n{rendered.text}" for rendered in samples.values()]
    names = {
        letters.campaign.name: _("活动名称写进每封信，其中%(found)s请先在“活动设置”中改名。"),
        federation_name(): _("总会名称写进每封信，其中%(found)s请先由系统管理员改正发件人名称。"),
    }
    for name, sentence in names.items():
        if not any(name in text for text in texts):
            continue
        texts = [text.replace(name, "") for text in texts]
        for is_refused, message in coercion.find(name):
            severity = Severity.REFUSE if is_refused else Severity.WARN
            yield Finding(severity, str(sentence) % {"found": message})
    known = {str(finding.message) for finding in told}
    for text in texts:
        for is_refused, message in coercion.find(text):
            if is_refused and message not in known:
                advice = _("填入内容后，信里%(found)s请修改模板或填入的资料。", found=message)
                yield Finding(Severity.REFUSE, advice)


def _count_segments(letters: Preview) -> list[Finding]:
    counts = [letter.segments for letter in letters.letters if letter.segments]
    spare = sum(letter.segments for letter in letters.spare)
    findings = []
    if counts:
        text = _(
            "按实际收件人计算共 %(total)s 条计费，最长的 %(most)s 条；%(cost)s。",
            total=sum(counts),
            most=max(counts),
            cost=rates.describe_sms_cost(sum(counts)),
        )
        findings.append(Finding(Severity.HINT, text))
    if spare:
        text = _(
            "邮件发送失败的改发短信，全部改发也不超过 %(total)s 条计费；%(cost)s。",
            total=spare,
            cost=rates.describe_sms_cost(spare),
        )
        findings.append(Finding(Severity.HINT, text))
    return findings


# A text is tried on the units of the running campaign


@dataclass(frozen=True)
class Sample:
    label: LazyString
    letter: Letter


@dataclass(frozen=True)
class Trial:
    """A text as the outstanding units of a campaign would read it."""

    samples: list[Sample]
    cost: str
    """Of text messages to all of them, in words; empty for mail."""


def try_out(letters: Sequence[Letter]) -> Trial:
    """The longest letter first, then the shortest, then the one of which least is on record."""
    letters = [without_links(letter) for letter in letters]
    if not letters:
        return Trial([], "")
    longest = max(letters, key=lambda letter: len(letter.rendered.text))
    shortest = min(letters, key=lambda letter: len(letter.rendered.text))
    barest = max(letters, key=lambda letter: (len(letter.holes), len(letter.gaps)))
    samples = [Sample(_("最长"), longest)]
    if shortest is not longest:
        samples.append(Sample(_("最短"), shortest))
    if barest.gaps:
        samples.append(Sample(_("资料最不全"), barest))
    total = sum(letter.segments for letter in letters)
    return Trial(samples, rates.describe_sms_cost(total) if total else "")


# What will happen next


def foretell(wave: Wave, letters: Preview, sending: SendingState) -> str:
    """One sentence: what happens to a wave that has not begun."""
    count = describe_count(letters)
    is_over = wave.status is WaveStatus.CANCELLED
    obstacle = "" if is_over else find_obstacle(wave)
    before = _("按现在的安排，一条也发不出去") if obstacle else _BEFORE[wave.status]
    sentence = before % {"count": count, "when": _when(wave)}
    if letters.unit_count > len(letters.letters):
        sentence += str(_("，涉及 %(count)s 家单位", count=letters.unit_count))
    if letters.left_out:
        sentence += str(_("；另有 %(count)s 家未列入，原因见下", count=len(letters.left_out)))
    sentence += "。"
    if obstacle:
        sentence += obstacle
    elif wave.status in {WaveStatus.IN_REVIEW, WaveStatus.APPROVED, WaveStatus.HELD}:
        sentence += str(sending.reason)
    return sentence


def find_obstacle(wave: Wave) -> str:
    """Why nothing of a wave can go out from its start to its last moment, and what to do; empty
    when something can."""
    starts_at = max(wave.starts_at, clock.now())
    hours = hours_at(starts_at)
    first = starts_at if hours.is_open else hours.opens_at
    if first is None:
        return str(hours.reason)
    if first > wave.not_after:
        day = describe_day(clock.day_of(first))
        late = hours.reason_before(wave.not_after)
        return f"{late}{_('请把最迟发送日改到%(day)s或以后。', day=day)}"
    ends_on = db.session.get_one(Campaign, wave.campaign_id).ends_on
    if has_ended(wave.purpose, ends_on, clock.day_of(first)):
        return str(
            _(
                "活动%(day)s截止，之后不再发提醒。要继续提醒，请先延长活动的结束日期。",
                day=describe_day(ends_on),
            )
        )
    return ""


def describe_count(letters: Preview) -> str:
    """«560 封邮件和 12 条短信»."""
    counts = letters.channels or [(letters.version.template.channel, 0)]
    return str(_("和 ")).join(count_letters(channel, count) for channel, count in counts)


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
