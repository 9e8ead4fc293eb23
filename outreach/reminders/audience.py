"""Who a wave is for: the filter that a person chooses, and the contacts that it comes to."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _
from pydantic import BaseModel, ConfigDict

from outreach import clock, money
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.gifts.standings import Standing, Status, list_standings, sector_figures
from outreach.messages.addresses import hash_address, normalise_address
from outreach.messages.gate import Candidate, Withheld
from outreach.messages.models import Channel, Purpose, WithheldReason
from outreach.reminders.thanks import ThankedGift, read_thanked
from outreach.terms import Term
from outreach.units.models import Contact, ContactRole


class SectorChoice(Term):
    ALL = "all", _("全部板块")
    LAGGING = "lagging", _("仅进度落后的板块")
    CHOSEN = "chosen", _("指定板块")


ASKED = (
    Status.NOT_CONTACTED,
    Status.CONTACTED,
    Status.VISITED,
    Status.PLEDGED,
    Status.PARTIAL,
)
"""Statuses of outstanding units."""


class AudienceFilter(BaseModel):
    """What is kept in `Wave.audience`. Whatever is chosen, a reminder means outstanding units
    only, and a letter of thanks those whose gifts it names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sectors: SectorChoice = SectorChoice.ALL
    sector_ids: tuple[int, ...] = ()
    """For `SectorChoice.CHOSEN`."""
    statuses: tuple[Status, ...] = ()
    """Empty: all of `ASKED`."""
    solicitor_id: int | None = None
    min_previous_fen: int = 0
    min_days_silent: int = 0
    gave_last_year: bool = False
    """Only units that gave last year and have not yet this year (LYBUNT)."""
    solicitation_ids: tuple[int, ...] = ()
    """Units that a rule has chosen one by one; empty: any."""
    gift_ids: tuple[int, ...] = ()
    """What a letter of thanks is for."""
    role: Literal[ContactRole.COORDINATOR, ContactRole.FINANCE] = ContactRole.COORDINATOR
    """Who is written to. A unit without such a contact is written to at its coordinator; nobody
    is ever written to at their superior: that would be pressure."""

    def admits(self, standing: Standing) -> bool:
        return (
            (not self.statuses or standing.status in self.statuses)
            and standing.previous_fen >= self.min_previous_fen
            and standing.days_silent >= self.min_days_silent
            and (standing.previous_fen > 0 or not self.gave_last_year)
        )

    def describe(self, campaign: Campaign) -> str:
        """The filter in words, for the person who approves it."""
        parts = [self._describe_sectors(campaign)]
        if self.statuses:
            parts.append("、".join(str(status.label) for status in self.statuses))
        if self.solicitor_id is not None:
            solicitor = db.session.get_one(User, self.solicitor_id)
            parts.append(str(_("劝募人%(name)s", name=solicitor.name)))
        if self.gave_last_year:
            parts.append(str(_("上年度捐过")))
        if self.min_previous_fen:
            amount = money.format_yuan(self.min_previous_fen)
            parts.append(str(_("上年度捐款不少于 %(amount)s 元", amount=amount)))
        if self.min_days_silent:
            parts.append(str(_("%(days)s 天以上没有联系", days=self.min_days_silent)))
        return " · ".join([*parts, *self._describe_choice()])

    def _describe_choice(self) -> Iterator[str]:
        if self.solicitation_ids:
            yield str(_("逐一选定的 %(count)s 家单位", count=len(self.solicitation_ids)))
        if self.gift_ids:
            yield str(_("致谢 %(count)s 笔到账", count=len(self.gift_ids)))
        if self.role is not ContactRole.COORDINATOR:
            yield str(_("写给%(role)s，没有的写给联络员", role=self.role.label))

    def _describe_sectors(self, campaign: Campaign) -> str:
        if self.sectors is not SectorChoice.CHOSEN:
            return str(self.sectors.label)
        chosen = (sector.name for sector in campaign.sectors if sector.id in self.sector_ids)
        return "、".join(chosen)


@dataclass(frozen=True)
class Way:
    """A way to a person: the channel, and the person's address there."""

    channel: Channel
    address: str
    address_hash: str


@dataclass(frozen=True)
class Member:
    """A unit that is chosen, and whether it is written to."""

    standing: Standing
    contact: Contact | None
    way: Way
    """Without an address when there is nobody to write to."""
    withheld: Withheld | None
    second: Way | None = None
    """Where the contact is written to when the first way fails for good."""
    gift: ThankedGift | None = None
    """What it is thanked for."""

    @property
    def solicitation(self) -> Solicitation:
        return self.standing.solicitation

    @property
    def address_hash(self) -> str:
        return self.way.address_hash


@dataclass(frozen=True)
class Recipient:
    """One message: a contact, and the units that share this address."""

    members: tuple[Member, ...]

    @property
    def contact(self) -> Contact:
        contact = self.members[0].contact
        if contact is None:
            raise ValueError("a recipient has a contact")
        return contact

    @property
    def channel(self) -> Channel:
        return self.members[0].way.channel

    @property
    def address(self) -> str:
        return self.members[0].way.address

    @property
    def solicitation_ids(self) -> tuple[int, ...]:
        return tuple(member.solicitation.id for member in self.by_unit)

    @property
    def by_unit(self) -> list[Member]:
        """One member for each unit: of a unit that was made of two, both readers may have one
        address."""
        return list({member.solicitation.id: member for member in self.members}.values())

    @property
    def second(self) -> "Recipient | None":
        """The same people over the other channel; None unless all units have the same second
        way, since a mailbox that two units share may be read by two persons with a number each."""
        ways = {member.second for member in self.members}
        way = ways.pop() if len(ways) == 1 else None
        if way is None:
            return None
        return Recipient(tuple(replace(one, way=way, second=None) for one in self.members))


def choose_units(
    campaign: Campaign, audience: AudienceFilter, purpose: Purpose = Purpose.REMINDER
) -> list[Standing]:
    """The units that the filter admits today: outstanding ones, those that are thanked, or all of
    which is asked who answers for them."""
    standings = list_standings(
        campaign,
        sector_ids=_sector_ids(campaign, audience),
        solicitation_ids=audience.solicitation_ids or None,
        outstanding_only=purpose not in {Purpose.THANKS, Purpose.RELAY},
        solicitor_id=audience.solicitor_id,
    )
    admitted = [standing for standing in standings if audience.admits(standing)]
    if purpose is not Purpose.THANKS:
        return admitted
    gifts = read_thanked(campaign, audience.gift_ids)
    return [standing for standing in admitted if standing.solicitation.id in gifts]


def find_members(
    campaign: Campaign,
    audience: AudienceFilter,
    channels: Sequence[Channel],
    purpose: Purpose = Purpose.REMINDER,
) -> list[Member]:
    """Each chosen unit with the contact who would be written to, or why it would not. `channels`
    are those for which the wave has a text, its first one first."""
    standings = choose_units(campaign, audience, purpose)
    members = look_up(campaign, standings, channels, audience.role)
    answers = ask_gate(campaign, members, purpose)
    answered = [
        replace(member, withheld=_first(answer, member))
        for member, answer in zip(members, answers, strict=True)
    ]
    return add_gifts(campaign, audience, answered)


def look_up(
    campaign: Campaign,
    standings: Sequence[Standing],
    channels: Sequence[Channel],
    role: ContactRole = ContactRole.COORDINATOR,
) -> list[Member]:
    """Whom to write to at each unit; withheld are only those of whom there is nobody."""
    today = clock.today()
    contacts = _list_contacts(campaign, role)
    nowhere = Way(channels[0], "", "")
    members = []
    for standing in standings:
        of_unit = contacts[standing.solicitation.unit_id]
        contact = _choose_contact(of_unit, channels, today)
        if contact is None:
            members.append(Member(standing, None, nowhere, _explain_silence(of_unit, today)))
            continue
        first, *others = ways_to(contact, channels)
        members.append(Member(standing, contact, first, None, others[0] if others else None))
    return members


def add_gifts(campaign: Campaign, audience: AudienceFilter, members: list[Member]) -> list[Member]:
    """The members with what they are thanked for; whose gift was reversed is left out."""
    if not audience.gift_ids:
        return members
    gifts = read_thanked(campaign, audience.gift_ids)
    return [
        replace(member, gift=gift)
        if (gift := gifts.get(member.solicitation.id))
        else replace(member, withheld=member.withheld or Withheld(WithheldReason.NOTHING_GIVEN, {}))
        for member in members
    ]


def group(members: Iterable[Member]) -> list[Recipient]:
    """One recipient for each address; units that share one are named in the same message."""
    by_address: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        if member.withheld is None:
            by_address[member.address_hash].append(member)
    return [Recipient(tuple(sharing)) for sharing in by_address.values()]


def ask_gate(
    campaign: Campaign, members: Sequence[Member], purpose: Purpose = Purpose.REMINDER
) -> list[Withheld | None]:
    """What the send gate says today about each of the members by itself, in their order."""
    candidates = [
        Candidate(
            key=number,
            purpose=purpose,
            channel=member.way.channel,
            address_hash=member.address_hash,
            contact_id=member.contact.id if member.contact else None,
            campaign_id=campaign.id,
            solicitation_ids=(member.solicitation.id,),
        )
        for number, member in enumerate(members)
    ]
    withheld = current_app.extensions["outreach.gate"].ask(candidates, clock.now())
    return [withheld.get(number) for number in range(len(members))]


def spare_shared(
    campaign: Campaign, members: Sequence[Member], purpose: Purpose = Purpose.REMINDER
) -> list[Member]:
    """Takes a unit that gave (or was snoozed, …) since the approval out of a message that other
    units share, so that these still get theirs. A message that is about such units alone is made
    all the same: the outbox withholds it and so accounts for it."""
    left_out = [member for member in members if member.withheld is not None]
    approved = [member for member in members if member.withheld is None]
    answers = ask_gate(campaign, approved, purpose)
    asked = list(zip(approved, answers, strict=True))
    free = {member.address_hash for member, answer in asked if answer is None}
    return left_out + [
        replace(member, withheld=answer) if answer and member.address_hash in free else member
        for member, answer in asked
    ]


def way_to(contact: Contact, channel: Channel) -> Way:
    """The contact's address over the channel, which may be empty."""
    address = contact.email if channel is Channel.EMAIL else contact.mobile
    normalised = normalise_address(channel, address)
    return Way(channel, normalised, hash_address(channel, normalised))


def ways_to(contact: Contact, channels: Sequence[Channel]) -> list[Way]:
    """Where the contact can be reached over these channels, the preferred one first."""
    order = sorted(channels, key=lambda channel: channel is not contact.preferred_channel)
    return [way for way in (way_to(contact, channel) for channel in order) if way.address]


def _sector_ids(campaign: Campaign, audience: AudienceFilter) -> list[int] | None:
    if audience.sectors is SectorChoice.LAGGING:
        return [figure.sector.id for figure in sector_figures(campaign) if figure.is_lagging]
    if audience.sectors is SectorChoice.CHOSEN:
        return list(audience.sector_ids)
    return None


def _list_contacts(campaign: Campaign, role: ContactRole) -> dict[int, list[Contact]]:
    """By unit: contacts of this role, then coordinators; the newest first."""
    rows = db.session.scalars(
        sa.select(Contact)
        .join(Solicitation, Solicitation.unit_id == Contact.unit_id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Contact.role.in_((role, ContactRole.COORDINATOR)),
        )
        .order_by((Contact.role == role).desc(), Contact.valid_from.desc(), Contact.id)
    )
    by_unit: dict[int, list[Contact]] = defaultdict(list)
    for contact in rows:
        by_unit[contact.unit_id].append(contact)
    return by_unit


def _choose_contact(
    contacts: list[Contact], channels: Sequence[Channel], today: date
) -> Contact | None:
    """The first in office who can be reached."""
    in_office = (contact for contact in contacts if contact.is_valid_on(today))
    return next((contact for contact in in_office if ways_to(contact, channels)), None)


def _explain_silence(contacts: list[Contact], today: date) -> Withheld:
    have_all_left = contacts and all(
        contact.valid_to is not None and contact.valid_to < today for contact in contacts
    )
    if not have_all_left:
        return Withheld(WithheldReason.NO_ADDRESS, {})
    left_on = max(contact.valid_to for contact in contacts if contact.valid_to)
    return Withheld(WithheldReason.CONTACT_LEFT, {"left_on": left_on.isoformat()})


def _first(answer: Withheld | None, member: Member) -> Withheld | None:
    """The gate's answer, but why there is no address is known better here."""
    if answer is not None and answer.reason is WithheldReason.NO_ADDRESS:
        return member.withheld or answer
    return answer or member.withheld
