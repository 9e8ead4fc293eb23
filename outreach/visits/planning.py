"""Follow-up visits: which units need one and why, and the first day on which there is room.

Each follow-up has a key that names what it is for («message:17:4», «visit:5»). The key is unique,
so nothing is proposed twice, also when two workers plan at once.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import joinedload

from outreach import clock, workdays
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, CampaignStatus, Solicitation
from outreach.db import db
from outreach.gifts.standings import Standing, find_standing, list_standings
from outreach.todos.models import Todo, TodoKind, TodoOutcome
from outreach.visits.models import OPEN, Visit, VisitOutcome, VisitStatus
from outreach.visits.silence import find_silent, last_answers
from outreach.web import format_day
from outreach.workdays import CalendarUnknown

FOLLOWED: Final = frozenset(
    {VisitOutcome.WILL_DISCUSS, VisitOutcome.COME_AGAIN, VisitOutcome.NOT_IN}
)
"""Outcomes that ask for another visit."""

_DAY = timedelta(days=1)
_PLAN_LOCK = 7_205_002
"""First key of the PostgreSQL advisory locks on visitors' plans; the second is the visitor."""


@dataclass
class Proposals:
    """What a run of the planner did."""

    count: int = 0
    unknown_years: set[int] = field(default_factory=set)
    """Years without a holiday table: visits that would have fallen into them were held back."""


@dataclass(frozen=True)
class FollowUp:
    solicitation: Solicitation
    visitor: User | None
    key: str
    reason: str
    not_before: date


class DayPlan:
    """Room in the days of some visitors. Who holds a plan is, until the commit, the only one who
    puts visits into these visitors' days."""

    def __init__(self, campaign: Campaign, visitor_ids: Iterable[int | None]) -> None:
        visitors = {visitor_id for visitor_id in visitor_ids if visitor_id is not None}
        _hold_plans(visitors)
        self.calendar = workdays.load_calendar()
        self._room = campaign.visits_per_day
        self._last_day = campaign.ends_on
        taken = (
            sa.select(Visit.visitor_id, Visit.planned_on, sa.func.count())
            .where(Visit.status.in_(OPEN), Visit.visitor_id.in_(visitors))
            .group_by(Visit.visitor_id, Visit.planned_on)
        )
        self._taken = Counter(
            {(visitor_id, day): count for visitor_id, day, count in db.session.execute(taken)}
        )

    def has_room(self, visitor_id: int | None, day: date) -> bool:
        """A visit that nobody is to make yet takes nobody's room."""
        return visitor_id is None or self._taken[visitor_id, day] < self._room

    def find_day(self, visitor_id: int | None, after: date) -> date | None:
        """The first working day after `after` with room; None when the campaign ends before.
        CalendarUnknown when it comes to a year that nobody knows."""
        day = after + _DAY
        while day <= self._last_day:
            if self.calendar.is_workday(day) and self.has_room(visitor_id, day):
                return day
            day += _DAY
        return None

    def take(self, visitor_id: int | None, day: date) -> None:
        self._taken[visitor_id, day] += 1


def propose_follow_ups(campaign: Campaign, *, calls_first: bool = False) -> Proposals:
    """Proposes the visits that are due in a running campaign, and takes back the proposals for
    units that have given or are not asked any more. With `calls_first` a silent unit is visited
    only after somebody has called it and got no answer."""
    proposals = Proposals()
    if campaign.status is not CampaignStatus.RUNNING:
        return proposals
    standings = {s.solicitation.id: s for s in list_standings(campaign, outstanding_only=True)}
    _withdraw_settled(campaign, standings)
    follow_ups = _find_follow_ups(campaign, standings, proposals, calls_first=calls_first)
    plan = DayPlan(campaign, [_id_of(follow_up.visitor) for follow_up in follow_ups])
    for follow_up in follow_ups:
        try:
            proposals.count += _propose(follow_up, plan) is not None
        except CalendarUnknown as unknown:
            proposals.unknown_years.add(unknown.year)
    return proposals


def propose_after(visit: Visit) -> date | None:
    """Proposes the visit that a logged one asked for, and returns its day; None when it asked
    for none, the unit is not outstanding, or no day is known. The clock's run looks again."""
    standing = find_standing(visit.solicitation)
    if visit.outcome not in FOLLOWED or not standing.is_outstanding:
        return None
    follow_up = _after_visit(visit, standing.solicitation)
    plan = DayPlan(visit.solicitation.campaign, [_id_of(follow_up.visitor)])
    try:
        return _propose(follow_up, plan)
    except CalendarUnknown:
        return None


def insert_open_visit(**values: Any) -> int | None:
    """Id of the new visit; None when its key is taken or the unit has an open visit already.

    One statement, so that of two who plan at once one is second and neither fails.
    """
    dialect = sqlite if db.engine.dialect.name == "sqlite" else postgresql
    statement = (
        dialect.insert(Visit)
        .values(created_at=clock.now(), version=1, **values)
        .on_conflict_do_nothing()
        .returning(Visit.id)
    )
    return db.session.scalar(statement)


def _propose(follow_up: FollowUp, plan: DayPlan) -> date | None:
    visitor_id = _id_of(follow_up.visitor)
    rest = follow_up.solicitation.snoozed_until or clock.today()
    day = plan.find_day(visitor_id, max(clock.today(), rest, follow_up.not_before - _DAY))
    if day is None:
        return None
    visit_id = insert_open_visit(
        solicitation_id=follow_up.solicitation.id,
        visitor_id=visitor_id,
        status=VisitStatus.PROPOSED,
        planned_on=day,
        reason=follow_up.reason,
        proposal_key=follow_up.key,
    )
    if visit_id is None:
        return None
    plan.take(visitor_id, day)
    return day


def _find_follow_ups(
    campaign: Campaign,
    standings: dict[int, Standing],
    proposals: Proposals,
    *,
    calls_first: bool,
) -> list[FollowUp]:
    """Those that are not proposed yet: first what was agreed on a visit, by day; then silent
    units, those that gave most last year first."""
    keys, waiting, last_visits = _read_visits(campaign)
    answers = last_answers(campaign)
    ready = {key: s for key, s in standings.items() if key not in waiting}
    agreed = [
        _after_visit(visit, ready[key].solicitation)
        for key, visit in last_visits.items()
        if key in ready and visit.outcome in FOLLOWED and not _since(answers.get(key), visit)
    ]
    try:
        silent = list(_find_silent(campaign, ready.values(), calls_first=calls_first))
    except CalendarUnknown as unknown:
        proposals.unknown_years.add(unknown.year)
        silent = []
    agreed.sort(key=lambda follow_up: (follow_up.not_before, follow_up.solicitation.id))
    taken = {follow_up.solicitation.id for follow_up in agreed}
    silent = [follow_up for follow_up in silent if follow_up.solicitation.id not in taken]
    return [follow_up for follow_up in agreed + silent if follow_up.key not in keys]


def _find_silent(
    campaign: Campaign, standings: Iterable[Standing], *, calls_first: bool
) -> Iterator[FollowUp]:
    called = _fruitless_calls(campaign) if calls_first else {}
    for silence in find_silent(campaign, standings, campaign.follow_up_workdays):
        solicitation = silence.standing.solicitation
        called_at = called.get(solicitation.id)
        if calls_first and (called_at is None or called_at < silence.sent_at):
            continue
        reason = _(
            "%(day)s 发出提醒后 %(count)s 个工作日未回应",
            day=format_day(silence.sent_on),
            count=campaign.follow_up_workdays,
        )
        yield FollowUp(
            solicitation=solicitation,
            visitor=_enabled(solicitation.solicitor),
            key=silence.key,
            reason=str(reason),
            not_before=clock.today() + _DAY,
        )


def _fruitless_calls(campaign: Campaign) -> dict[int, datetime]:
    """When each unit was last called without an answer, by solicitation."""
    rows = db.session.execute(
        sa.select(Todo.solicitation_id, Todo.settled_at)
        .join(Todo.solicitation)
        .where(
            Solicitation.campaign_id == campaign.id,
            Todo.kind == TodoKind.CALL,
            Todo.outcome == TodoOutcome.NO_ANSWER,
        )
        .order_by(Todo.settled_at)
    )
    return {solicitation_id: at for solicitation_id, at in rows if at is not None}


def _after_visit(visit: Visit, solicitation: Solicitation) -> FollowUp:
    day = format_day(visit.planned_on)
    next_on = visit.next_on
    reasons = {
        VisitOutcome.WILL_DISCUSS: _("%(day)s 走访时表示需研究后答复", day=day),
        VisitOutcome.COME_AGAIN: _(
            "%(day)s 走访时约定 %(next)s 再访", day=day, next=format_day(next_on)
        ),
        VisitOutcome.NOT_IN: _("%(day)s 走访未见到负责人", day=day),
    }
    assert visit.outcome is not None
    return FollowUp(
        solicitation=solicitation,
        visitor=_enabled(visit.visitor) or _enabled(solicitation.solicitor),
        key=f"visit:{visit.id}",
        reason=str(reasons[visit.outcome]),
        not_before=next_on or clock.today() + _DAY,
    )


def _read_visits(campaign: Campaign) -> tuple[set[str | None], set[int], dict[int, Visit]]:
    """Keys that are taken, solicitations with an open visit, and the last logged visit of each."""
    visits = db.session.scalars(
        sa.select(Visit)
        .join(Visit.solicitation)
        .where(Solicitation.campaign_id == campaign.id)
        .order_by(Visit.logged_at, Visit.id)
        .options(joinedload(Visit.visitor))
    ).all()
    return (
        {visit.proposal_key for visit in visits},
        {visit.solicitation_id for visit in visits if visit.is_open},
        {visit.solicitation_id: visit for visit in visits if visit.logged_at},
    )


def _since(at: datetime | None, visit: Visit) -> bool:
    return at is not None and visit.logged_at is not None and at > visit.logged_at


def _withdraw_settled(campaign: Campaign, outstanding: dict[int, Standing]) -> None:
    proposed = db.session.scalars(
        sa.select(Visit)
        .join(Visit.solicitation)
        .where(Solicitation.campaign_id == campaign.id, Visit.status == VisitStatus.PROPOSED)
        # A row that somebody is working on is theirs.
        .with_for_update(of=Visit, skip_locked=True)
    )
    for visit in proposed:
        if visit.solicitation_id not in outstanding:
            visit.status = VisitStatus.DROPPED
            visit.note = str(_("单位已到账，或不再劝募"))


def _enabled(user: User | None) -> User | None:
    return user if user is not None and user.is_enabled else None


def _id_of(user: User | None) -> int | None:
    return None if user is None else user.id


def _hold_plans(visitor_ids: set[int]) -> None:
    """SQLite needs no lock: there, whoever writes is alone. In order, so that two who hold
    several plans never wait for each other."""
    if db.engine.dialect.name == "postgresql":
        for visitor_id in sorted(visitor_ids):
            db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_PLAN_LOCK, visitor_id)))
