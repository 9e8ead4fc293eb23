"""Whose a payment may be: proposals with a score from 0 to 100 and what speaks for them. One that
is clear is proposed first, and a person still confirms it; nothing here becomes a gift."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from outreach.campaigns.models import Campaign, Solicitation
from outreach.campaigns.queries import hold_campaign
from outreach.db import db, run
from outreach.gifts.models import (
    Evidence,
    Gift,
    GiftBasis,
    GiftKind,
    LikelyGift,
    LineCandidate,
    LineGift,
    LineStatus,
    PayerAlias,
    Pledge,
    Source,
    StatementLine,
)
from outreach.gifts.queries import sum_by_unit
from outreach.spreadsheets.progress import Stage, follow
from outreach.units import naming
from outreach.units.models import Unit, UnitAlias, UnitKind
from outreach.units.queries import slices

MOST_CANDIDATES = 5
LEAST = 30
"""A weaker proposal keeps nobody from being reminded, and is not shown."""
CLEAR = 80
"""From this score on the first proposal can be clear."""
MOST = 100
AHEAD = 15
"""So far the second must be behind."""
ALIKE = 0.5
"""From this likeness on (Dice's coefficient of pairs of characters) a name may be a unit's."""
SHORTEST = 4
"""A name with fewer characters is not looked for inside of texts."""
NEAR = timedelta(days=3)
"""A gift that was typed in may have another day than the statement."""
BOOKED_LATE = timedelta(days=60)
"""After its end, money that was given in a campaign still comes in."""
WEIGHTS = {
    Evidence.NUMBER: 100,
    Evidence.CODE: 95,
    Evidence.NAME: 90,
    Evidence.LEARNED: 85,
    Evidence.IN_TEXT: 75,
    Evidence.IN_PAYER: 65,
    Evidence.SHARED_NAME: 60,
    Evidence.OTHER_AMOUNT: 50,
    Evidence.SHARED_PAYER: 45,
    Evidence.PLEDGE: 40,
    Evidence.LAST_YEAR: 35,
}
"""What each says alone; of several the strongest counts, and the amount adds something."""
ADDED = {Evidence.PLEDGE: 10, Evidence.LAST_YEAR: 5}
CREDIT_CODE = re.compile(r"(?<![0-9A-Z])[0-9A-HJ-NPQRTUWXY]{18}(?![0-9A-Z])")
PERSON = re.compile(r"[\u4e00-\u9fff·]{2,4}")
CLEARING = re.compile(r"财付通|支付宝|微信|银联|网银在线|待清算|待报解|暂收|备付金")
"""Names behind which anybody may be."""


@dataclass
class Proposal:
    solicitation_id: int
    reasons: dict[Evidence, str] = field(default_factory=dict)
    likeness: int = 0

    @property
    def score(self) -> int:
        """The strongest reason, and a little for an amount that was expected."""
        alone = max((WEIGHTS.get(reason, 0) for reason in self.reasons), default=0)
        named = [reason for reason in self.reasons if reason not in ADDED]
        added = sum(ADDED.get(reason, 0) for reason in self.reasons) if named else 0
        best = max((WEIGHTS.get(reason, 0) for reason in named), default=0)
        most = MOST if Evidence.NUMBER in self.reasons else MOST - 1
        return min(max(alone, max(best, self.likeness) + added), most)

    @property
    def told(self) -> list[list[str]]:
        ordered = sorted(self.reasons.items(), key=lambda item: -WEIGHTS.get(item[0], 0))
        return [[reason.value, name] for reason, name in ordered]


@dataclass(frozen=True)
class Match:
    proposals: Sequence[Proposal] = ()
    """The likeliest first."""
    gift_ids: tuple[int, ...] = ()
    is_clear: bool = False

    @property
    def solicitation_id(self) -> int | None:
        return self.proposals[0].solicitation_id if self.proposals else None


@dataclass(frozen=True)
class _Recorded:
    """A gift of the ledger that no line shows."""

    id: int
    unit_id: int | None
    amount_fen: int
    received_on: date
    reference: str
    group_id: int | None
    basis: GiftBasis


class Matcher:
    """What is known of a campaign's units, to hold payments against. A gift of the ledger answers
    for one of the payments only."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.unit_ids: dict[int, int] = {}
        self.ids_by_unit: dict[int, int] = {}
        self.by_code: dict[str, int] = {}
        self.by_name: defaultdict[str, dict[int, str]] = defaultdict(dict)
        self.by_payer: defaultdict[str, set[int]] = defaultdict(set)
        self.by_pledge: defaultdict[int, list[int]] = defaultdict(list)
        self.by_last_year: defaultdict[int, list[int]] = defaultdict(list)
        self._load_units()
        self._load_payers()
        self._load_amounts()
        self.names = naming.Names(
            name for found in self.by_name.values() for name in found.values()
        )
        self.contained = _Contained(self.by_name)
        self.recorded = _Ledger(campaign)
        self._by_payer: dict[str, list[tuple[int, Evidence, str, int]]] = {}

    def match(self, line: StatementLine, numbered: "Sequence[_Recorded]" = ()) -> Match:
        """`numbered` are the gifts of the ledger that have the line's number and make it up."""
        proposals: dict[int, Proposal] = {}

        def propose(id_: int, reason: Evidence, name: str = "", likeness: int = 0) -> None:
            proposal = proposals.setdefault(id_, Proposal(id_))
            proposal.reasons.setdefault(reason, name)
            proposal.likeness = max(proposal.likeness, likeness)

        for found in self._of_payer(line.payer):
            propose(*found)
        for id_, reason, name in self._of_text(line):
            propose(id_, reason, name)
        for id_, reason in self._of_amount(line.net_fen, set(proposals)):
            propose(id_, reason)
        if numbered:
            return Match(self._put_first(proposals, numbered), _ids(numbered), is_clear=True)
        for other in self.recorded.find_contradicting(line):
            if other.unit_id in self.ids_by_unit:
                propose(self.ids_by_unit[other.unit_id], Evidence.OTHER_AMOUNT)
        return self._weigh(line, sorted(proposals.values(), key=lambda found: -found.score))

    def doubt(self, line: StatementLine, match: Match) -> Match:
        """Once all lines are matched: a line is not clear while the ledger has gifts of the unit
        about that day for which no line answers. They may be this payment, entered otherwise."""
        if match.gift_ids or not match.is_clear:
            return match
        best = match.proposals[0]
        if not self.recorded.has_unanswered(line, self.unit_ids[best.solicitation_id]):
            return match
        best.reasons[Evidence.UNANSWERED] = ""
        return replace(match, is_clear=False)

    def names_payer(self, payer: str, solicitation_id: int) -> bool:
        """The payer is the unit itself, by one of its names."""
        return solicitation_id in self.by_name.get(naming.name_key(payer), {})

    def _weigh(self, line: StatementLine, proposals: list[Proposal]) -> Match:
        best = [found for found in proposals if found.score >= LEAST][:MOST_CANDIDATES]
        is_clear = (
            bool(best)
            and best[0].score >= CLEAR
            and (len(best) == 1 or best[0].score - best[1].score >= AHEAD)
            and not any(Evidence.OTHER_AMOUNT in found.reasons for found in best)
            and self._is_likely_here(line)
        )
        unit_ids = [self.unit_ids[found.solicitation_id] for found in best]
        if is_clear:
            gifts, is_sure = self.recorded.take_alike(line, unit_ids[0])
        else:
            gifts, is_sure = self.recorded.take_group(line, unit_ids), False
        if not gifts:
            return Match(best, is_clear=is_clear)
        for found, unit_id in zip(best, unit_ids, strict=True):
            if unit_id in {gift.unit_id for gift in gifts}:
                found.reasons[Evidence.RECORDED] = ""
        return Match(best, _ids(gifts), is_clear=is_sure)

    def _put_first(
        self, proposals: dict[int, Proposal], gifts: Sequence[_Recorded]
    ) -> list[Proposal]:
        """The gifts' unit before all others, when they are of one; a gift without unit is
        nobody's."""
        owners = {gift.unit_id for gift in gifts}
        id_ = self.ids_by_unit.get(owners.pop() or 0) if len(owners) == 1 else None
        if id_ is None:
            return []
        own = proposals.pop(id_, Proposal(id_))
        own.reasons[Evidence.NUMBER] = ""
        return [own]

    def _is_likely_here(self, line: StatementLine) -> bool:
        """It was paid while the campaign ran, and did not go back."""
        first, last = self.campaign.starts_on, self.campaign.ends_on + BOOKED_LATE
        return first <= line.received_on <= last and not line.refunded_fen

    def _of_payer(self, payer: str) -> list[tuple[int, Evidence, str, int]]:
        if payer not in self._by_payer:
            is_known = bool(payer) and not CLEARING.search(payer)
            self._by_payer[payer] = list(self._find_payer(payer)) if is_known else []
        return self._by_payer[payer]

    def _find_payer(self, payer: str) -> Iterator[tuple[int, Evidence, str, int]]:
        key = naming.name_key(payer)
        same = self.by_name.get(key, {})
        for id_, name in same.items():
            yield id_, Evidence.NAME if len(same) == 1 else Evidence.SHARED_NAME, name, 0
        learned = self.by_payer.get(key, set())
        for id_ in learned:
            yield id_, Evidence.LEARNED if len(learned) == 1 else Evidence.SHARED_PAYER, payer, 0
        if same:
            return
        inside = dict(self.contained.find(key))
        for id_, name in inside.items():
            yield id_, Evidence.IN_PAYER, name, 0
        for name, likeness in self.names.alike(payer, least=ALIKE).items():
            for id_, other in self.by_name[naming.name_key(name)].items():
                if other == name and id_ not in inside:
                    yield id_, Evidence.ALIKE, name, round(30 + (likeness - ALIKE) * 60)

    def _of_text(self, line: StatementLine) -> Iterator[tuple[int, Evidence, str]]:
        text = f"{line.summary} {line.note}"
        for code in CREDIT_CODE.findall(f"{text} {line.payer}".upper()):
            if code in self.by_code:
                yield self.by_code[code], Evidence.CODE, ""
        for id_, name in self.contained.find(naming.name_key(text)):
            yield id_, Evidence.IN_TEXT, name

    def _of_amount(self, amount_fen: int, named: set[int]) -> Iterator[tuple[int, Evidence]]:
        """An amount alone is a hint only where few units may be meant."""
        pledged = self.by_pledge.get(amount_fen, [])
        for id_ in islice(pledged, MOST_CANDIDATES):
            yield id_, Evidence.PLEDGE
        gave = self.by_last_year.get(amount_fen, [])
        for id_ in gave if len(gave) == 1 else named.intersection(gave):
            yield id_, Evidence.LAST_YEAR

    def _load_units(self) -> None:
        of_campaign = (
            sa.select(Solicitation.id, Unit.id, Unit.name, Unit.short_name, Unit.credit_code)
            .join(Unit, Unit.id == Solicitation.unit_id)
            .where(Solicitation.campaign_id == self.campaign.id)
        )
        for id_, unit_id, name, short_name, code in db.session.execute(of_campaign):
            self.unit_ids[id_] = unit_id
            self.ids_by_unit[unit_id] = id_
            self.by_name[naming.name_key(name)][id_] = name
            if short_name:
                self.by_name[naming.name_key(short_name)].setdefault(id_, short_name)
            if code:
                self.by_code[code] = id_
        aliases = (
            sa.select(Solicitation.id, UnitAlias.name)
            .join(UnitAlias, UnitAlias.unit_id == Solicitation.unit_id)
            .where(Solicitation.campaign_id == self.campaign.id)
        )
        for id_, name in db.session.execute(aliases):
            self.by_name[naming.name_key(name)].setdefault(id_, name)

    def _load_payers(self) -> None:
        learned = (
            sa.select(PayerAlias.payer_key, Solicitation.id)
            .join(Solicitation, Solicitation.unit_id == PayerAlias.unit_id)
            .where(Solicitation.campaign_id == self.campaign.id)
        )
        for key, id_ in db.session.execute(learned):
            self.by_payer[key].add(id_)

    def _load_amounts(self) -> None:
        pledges = (
            sa.select(Pledge.amount_fen, Pledge.solicitation_id)
            .join(Solicitation, Solicitation.id == Pledge.solicitation_id)
            .where(Solicitation.campaign_id == self.campaign.id, Pledge.withdrawn_at.is_(None))
            .order_by(Pledge.id)
        )
        for amount, id_ in db.session.execute(pledges):
            self.by_pledge[amount].append(id_)
        for unit_id, amount in db.session.execute(sum_by_unit(self.campaign.previous_id)):
            if unit_id in self.ids_by_unit:
                self.by_last_year[amount].append(self.ids_by_unit[unit_id])


class _Contained:
    """Names that stand inside of a text, the longest at each place."""

    def __init__(self, by_name: dict[str, dict[int, str]]) -> None:
        self.by_start: defaultdict[str, list[tuple[str, dict[int, str]]]] = defaultdict(list)
        for key, found in by_name.items():
            if len(key) >= SHORTEST:
                self.by_start[key[:SHORTEST]].append((key, found))
        for names in self.by_start.values():
            names.sort(key=lambda pair: -len(pair[0]))

    def find(self, text: str) -> Iterator[tuple[int, str]]:
        place = 0
        while place <= len(text) - SHORTEST:
            for key, found in self.by_start.get(text[place : place + SHORTEST], ()):
                if text.startswith(key, place):
                    yield from found.items()
                    place += len(key) - 1
                    break
            place += 1


class _Ledger:
    """Gifts that no line shows yet, by what a line may have in common with them."""

    def __init__(self, campaign: Campaign) -> None:
        reversal = aliased(Gift)
        rows = db.session.execute(
            sa.select(
                Gift.id,
                Gift.unit_id,
                Gift.amount_fen,
                Gift.received_on,
                Gift.reference,
                Gift.group_id,
                Gift.basis,
            )
            .where(
                Gift.campaign_id == campaign.id,
                Gift.reversal_of_id.is_(None),
                ~sa.exists().where(reversal.reversal_of_id == Gift.id),
                ~sa.exists().where(LineGift.gift_id == Gift.id),
            )
            .order_by(Gift.id)
        )
        self.by_number: defaultdict[str, list[_Recorded]] = defaultdict(list)
        self.by_content: defaultdict[tuple[int, int], list[_Recorded]] = defaultdict(list)
        self.by_unit: defaultdict[int, list[_Recorded]] = defaultdict(list)
        self.by_total: defaultdict[int, list[list[_Recorded]]] = defaultdict(list)
        """What was entered together, and is more than one gift."""
        self.taken: set[int] = set()
        groups: defaultdict[int, list[_Recorded]] = defaultdict(list)
        for row in rows:
            gift = _Recorded(*row)
            if gift.reference:
                self.by_number[gift.reference].append(gift)
            if gift.unit_id:
                self.by_content[gift.unit_id, gift.amount_fen].append(gift)
                self.by_unit[gift.unit_id].append(gift)
            if gift.group_id:
                groups[gift.group_id].append(gift)
        for gifts in groups.values():
            if len(gifts) > 1:
                self.by_total[_total(gifts)].append(gifts)

    def take_number(self, line: StatementLine) -> list[_Recorded]:
        """The gift under the line's number, or all of them, when they make it up."""
        numbered = self._numbered(line)
        same = [[gift] for gift in numbered if gift.amount_fen == line.net_fen]
        return self._take(same or [numbered] if _total(numbered) == line.net_fen else same)

    def find_contradicting(self, line: StatementLine) -> list[_Recorded]:
        """Gifts under the line's number that have another amount."""
        return [gift for gift in self._numbered(line) if gift.amount_fen != line.net_fen]

    def take_alike(self, line: StatementLine, unit_id: int) -> tuple[list[_Recorded], bool]:
        """The unit's gift of that amount about that day, or the parts that come to it, and whether
        it can be no other: a gift that has a number of its own may be another payment."""
        single = [[gift] for gift in self.by_content.get((unit_id, line.net_fen), ())]
        near = _near([*single, *self._groups(line, [unit_id])], line.received_on)
        gifts = self._take(gifts for gifts in near if not any(gift.reference for gift in gifts))
        return (gifts, True) if gifts else (self._take(near), False)

    def take_group(self, line: StatementLine, unit_ids: Collection[int]) -> list[_Recorded]:
        """Gifts that were entered together about that day and come to that amount: with one of
        these units among them, or any, when nothing else is known of the line."""
        return self._take(_near(self._groups(line, unit_ids), line.received_on))

    def has_unanswered(self, line: StatementLine, unit_id: int) -> bool:
        """The unit has a gift about that day that no line took. One under another number, or that
        never came into the account, is another payment."""
        has_number = bool(line.serial or line.reference)
        return any(
            abs(gift.received_on - line.received_on) <= NEAR
            and gift.id not in self.taken
            and not (gift.reference and has_number)
            and gift.basis is GiftBasis.INTO_ACCOUNT
            for gift in self.by_unit.get(unit_id, ())
        )

    def _groups(self, line: StatementLine, unit_ids: Collection[int]) -> list[list[_Recorded]]:
        return [
            gifts
            for gifts in self.by_total.get(line.net_fen, ())
            if not unit_ids or not {gift.unit_id for gift in gifts}.isdisjoint(unit_ids)
        ]

    def _numbered(self, line: StatementLine) -> list[_Recorded]:
        numbers = {line.serial, line.reference} - {""}
        return [gift for number in numbers for gift in self.by_number.get(number, ())]

    def _take(self, choices: Iterable[list[_Recorded]]) -> list[_Recorded]:
        """The first of them that no other line has taken."""
        free = (gifts for gifts in choices if self.taken.isdisjoint(_ids(gifts)))
        gifts = next(free, [])
        self.taken.update(_ids(gifts))
        return gifts


def _ids(gifts: Iterable[_Recorded]) -> tuple[int, ...]:
    return tuple(sorted(gift.id for gift in gifts))


def _total(gifts: Iterable[_Recorded]) -> int:
    return sum(gift.amount_fen for gift in gifts)


def _near(choices: Iterable[list[_Recorded]], day: date) -> list[list[_Recorded]]:
    return [
        gifts for gifts in choices if all(abs(gift.received_on - day) <= NEAR for gift in gifts)
    ]


def propose_kind(payer: str, source: Source | None) -> GiftKind:
    """Platforms are used by people; banks by both, and a person has a short name."""
    if source in {Source.WECHAT, Source.ALIPAY}:
        return GiftKind.INDIVIDUAL
    is_person = PERSON.fullmatch(payer) and naming.propose_kind(payer) is UnitKind.OTHER
    return GiftKind.INDIVIDUAL if is_person else GiftKind.UNIT


def is_worth_learning(payer: str) -> bool:
    """Behind a clearing house anybody may be, and many people share a short name."""
    return bool(payer) and not CLEARING.search(payer) and not PERSON.fullmatch(payer)


def match_lines(campaign: Campaign) -> None:
    """Proposes anew for all open lines of the campaign."""
    hold_campaign(campaign.id)
    _store(match_open(campaign))


def match_open(campaign: Campaign) -> dict[int, Match]:
    """What is proposed for each open line, by its id. They are matched together, those with the
    number of a gift first: a gift of the ledger answers for one of them only."""
    query = sa.select(StatementLine).filter_by(campaign_id=campaign.id, status=LineStatus.OPEN)
    lines = db.session.scalars(query.order_by(StatementLine.id)).all()
    matcher = Matcher(campaign)
    numbered = {line.id: matcher.recorded.take_number(line) for line in lines}
    found = {
        line.id: matcher.match(line, numbered[line.id]) for line in follow(lines, Stage.MATCHING)
    }
    return {line.id: matcher.doubt(line, found[line.id]) for line in lines}


def _store(matches: Mapping[int, Match]) -> None:
    for some in slices(list(matches)):
        run(sa.delete(LineCandidate).where(LineCandidate.line_id.in_(some)))
        run(sa.delete(LikelyGift).where(LikelyGift.line_id.in_(some)))
    candidates = [
        {
            "line_id": line_id,
            "solicitation_id": proposal.solicitation_id,
            "score": proposal.score,
            "reasons": proposal.told,
        }
        for line_id, match in matches.items()
        for proposal in match.proposals
    ]
    for part in slices(candidates):
        run(sa.insert(LineCandidate), part)
    _flag(matches, is_clear=False)
    _flag([line_id for line_id, match in matches.items() if match.is_clear], is_clear=True)
    likely = [
        {"line_id": line_id, "gift_id": gift_id}
        for line_id, match in matches.items()
        for gift_id in match.gift_ids
    ]
    for links in slices(likely):
        run(sa.insert(LikelyGift), links)
    db.session.expire_all()


def _flag(line_ids: Collection[int], *, is_clear: bool) -> None:
    for some in slices(list(line_ids)):
        run(_open_lines(some).values(is_clear=is_clear))


def _open_lines(line_ids: Sequence[int]) -> sa.Update:
    """Those that nobody has settled meanwhile."""
    return sa.update(StatementLine).where(
        StatementLine.id.in_(line_ids), StatementLine.status == LineStatus.OPEN
    )
