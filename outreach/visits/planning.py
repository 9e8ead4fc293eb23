"""Follow-up visits: which units need one and why, and the first day on which there is room.

Each follow-up has a key that names what it is for («message:17:4», «visit:5», «todo:8»). The key is
unique, so nothing is proposed twice, also when two workers plan at once.

A visit is a step of the ladder (`todos.models.LADDER`): it comes after a call that nobody answered,
and when it finds the door closed, the follow-up is the to-do that is the next step.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.dialects import postgresql, sqlite

from outreach import audit, clock, workdays
from outreach.accounts.models import User
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    Solicitation,
)
from outreach.db import db
from outreach.gifts.standings import Standing, find_standing, list_standings
from outreach.todos import services as todos
from outreach.todos.models import VISIT, TodoKind, step_after
from outreach.todos.queries import Ladder, find_ladder
from outreach.todos.rendering import tell_in_vain
from outreach.units.models import Unit
from outreach.visits.history import History, read_history
from outreach.visits.models import OPEN, Visit, VisitOutcome, VisitStatus
from outreach.visits.silence import find_silent, is_promised
from outreach.visits.staffing import Rooms
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
    todo_count: int = 0
    unknown_years: set[int] = field(default_factory=set)
    """Years without a holiday table: visits that would have fallen into them were held back."""

    def note(self, proposed: "NextStep | None") -> None:
        if proposed is not None:
            self.count += proposed.kind is None
            self.todo_count += proposed.kind is not None


@dataclass(frozen=True)
class FollowUp:
    solicitation: Solicitation
    visitor: User | None
    key: str
    reason: str
    not_before: date
    step: TodoKind | None = None
    """What is done instead of a visit."""


@dataclass(frozen=True)
class NextStep:
    """What was proposed for a unit: a to-do of this kind, or a visit."""

    on: date
    kind: TodoKind | None


class DayPlan:
    """Room in the days of some visitors. Who holds a plan is, until the commit, the only one who
    puts visits into these visitors' days."""

    def __init__(self, campaign: Campaign, visitor_ids: Iterable[int | None]) -> None:
        visitors = {visitor_id for visitor_id in visitor_ids if visitor_id is not None}
        hold_plans(visitors)
        self.calendar = workdays.load_calendar()
        self.rooms = Rooms(campaign.visits_per_day, visitors)
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
        return visitor_id is None or self.count_room(visitor_id, day) > 0

    def count_room(self, visitor_id: int, day: date) -> int:
        """Visits that still fit; below 0 where more are planned than fit."""
        return self.rooms.of(visitor_id, day) - self._taken[visitor_id, day]

    def find_day(self, unit: Unit, visitor_id: int | None, after: date) -> date | None:
        """The first working day after `after` with room on which the unit receives visitors; None
        when the campaign ends before. CalendarUnknown when it comes to a year that nobody knows."""
        day = after + _DAY
        while day <= self._last_day:
            is_open = self.calendar.is_workday(day) and unit.receives_on(day)
            if is_open and self.has_room(visitor_id, day) and self.meets(unit, visitor_id, day):
                return day
            day += _DAY
        return None

    def meets(self, unit: Unit, visitor_id: int | None, day: date) -> bool:
        """Whether both have time in the same half of the day."""
        half = self.rooms.half_of(visitor_id, day) if visitor_id else None
        return half is None or unit.half_on(day) in {None, half}

    def take(self, visitor_id: int | None, day: date) -> None:
        self._taken[visitor_id, day] += 1

    def leave(self, visitor_id: int | None, day: date) -> None:
        self._taken[visitor_id, day] -= 1


def propose_follow_ups(campaign: Campaign, *, calls_first: bool = False) -> Proposals:
    """Proposes the visits that are due in a running campaign, and takes back the proposals for
    units that have given or are not asked any more. With `calls_first` a silent unit is visited
    only after somebody has called it and got no answer."""
    proposals = Proposals()
    if campaign.status is not CampaignStatus.RUNNING:
        return proposals
    standings = {s.solicitation.id: s for s in list_standings(campaign, outstanding_only=True)}
    _withdraw_settled(campaign, standings)
    todos.withdraw_settled(
        campaign, {key for key, standing in standings.items() if not is_promised(standing)}
    )
    follow_ups = _find_follow_ups(campaign, standings, proposals, calls_first=calls_first)
    plan = DayPlan(campaign, [_id_of(follow_up.visitor) for follow_up in follow_ups])
    for follow_up in follow_ups:
        try:
            proposals.note(_propose(follow_up, plan))
        except CalendarUnknown as unknown:
            proposals.unknown_years.add(unknown.year)
    return proposals


def propose_after(visit: Visit) -> NextStep | None:
    """Proposes what follows from a logged visit; None when it asked for nothing, the unit is not
    outstanding, or no day is known. The clock's run looks again."""
    standing = find_standing(visit.solicitation)
    if visit.outcome not in FOLLOWED or not standing.is_outstanding:
        return None
    ladder = find_ladder(standing.solicitation)
    if _is_passed(visit, ladder):
        return None
    follow_up = _after_visit(visit, standing.solicitation, ladder)
    plan = DayPlan(visit.solicitation.campaign, [_id_of(follow_up.visitor)])
    try:
        return _propose(follow_up, plan)
    except CalendarUnknown:
        return None


def insert_open_visit(**values: Any) -> Visit | None:
    """The new visit; None when its key is taken or the unit has an open visit already.

    One statement, so that of two who plan at once one is second and neither fails.
    """
    dialect = sqlite if db.engine.dialect.name == "sqlite" else postgresql
    statement = (
        dialect.insert(Visit)
        .values(created_at=clock.now(), version=1, **values)
        .on_conflict_do_nothing()
        .returning(Visit)
    )
    return db.session.scalar(statement)


def _propose(follow_up: FollowUp, plan: DayPlan) -> NextStep | None:
    if follow_up.step is not None:
        due_on = todos.propose_step(
            follow_up.solicitation,
            follow_up.step,
            reason=follow_up.reason,
            key=follow_up.key,
            owner=follow_up.visitor,
        )
        return NextStep(due_on, follow_up.step) if due_on else None
    visitor_id = _id_of(follow_up.visitor)
    unit = follow_up.solicitation.unit
    rest = follow_up.solicitation.snoozed_until or clock.today()
    day = plan.find_day(unit, visitor_id, max(clock.today(), rest, follow_up.not_before - _DAY))
    if day is None:
        return None
    visit = insert_open_visit(
        solicitation_id=follow_up.solicitation.id,
        visitor_id=visitor_id,
        status=VisitStatus.PROPOSED,
        planned_on=day,
        reason=follow_up.reason,
        proposal_key=follow_up.key,
    )
    if visit is None:
        return None
    plan.take(visitor_id, day)
    return NextStep(day, None)


def _find_follow_ups(
    campaign: Campaign,
    standings: dict[int, Standing],
    proposals: Proposals,
    *,
    calls_first: bool,
) -> list[FollowUp]:
    """Those that are not proposed yet: first what was agreed on a visit, by day; then units whose
    call nobody answered and silent ones, those that gave most last year first."""
    history = read_history(campaign)
    ready = {key: s for key, s in standings.items() if key not in history.waiting}
    agreed = [
        _after_visit(visit, ready[key].solicitation, history.ladder(key))
        for key, visit in history.last_visits.items()
        if key in ready
        and visit.outcome in FOLLOWED
        and not _since(history.answers.get(key), visit)
        and not _is_passed(visit, history.ladder(key))
    ]
    agreed.sort(key=lambda follow_up: (follow_up.not_before, follow_up.solicitation.id))
    by_amount = sorted(
        (s for key, s in ready.items() if not history.ladder(key).is_waiting),
        key=lambda s: (-s.previous_fen, s.solicitation.id),
    )
    called = list(_find_called(by_amount, history))
    try:
        silent = [] if calls_first else list(_find_silent(campaign, by_amount, history))
    except CalendarUnknown as unknown:
        proposals.unknown_years.add(unknown.year)
        silent = []
    # An agreement whose visit was proposed before no longer stands in the way of a newer call.
    renewed = [follow_up for follow_up in agreed if follow_up.key not in history.keys]
    first: dict[int, FollowUp] = {}
    for follow_up in (*renewed, *called, *agreed, *silent):
        first.setdefault(follow_up.solicitation.id, follow_up)
    return [follow_up for follow_up in first.values() if follow_up.key not in history.keys]


def _find_called(standings: Sequence[Standing], history: History) -> Iterator[FollowUp]:
    """Units whose call nobody answered, and of which nothing was heard since."""
    for standing in standings:
        solicitation = standing.solicitation
        call = history.ladder(solicitation.id).wants_visit
        if call is None or call.settled_at is None or is_promised(standing):
            continue
        if not history.has_heard(solicitation, since=call.settled_at):
            yield FollowUp(
                solicitation=solicitation,
                visitor=_enabled(call.owner) or _enabled(solicitation.solicitor),
                key=f"todo:{call.id}",
                reason=tell_in_vain(call),
                not_before=clock.today() + _DAY,
            )


def _find_silent(
    campaign: Campaign, standings: Sequence[Standing], history: History
) -> Iterator[FollowUp]:
    count = campaign.follow_up_workdays
    for silence in find_silent(standings, history, workdays_since=count):
        solicitation = silence.standing.solicitation
        reason = _(
            "%(day)s 发出提醒后 %(count)s 个工作日未回应",
            day=format_day(silence.sent_on),
            count=count,
        )
        yield FollowUp(
            solicitation=solicitation,
            visitor=_enabled(solicitation.solicitor),
            key=silence.key,
            reason=str(reason),
            not_before=clock.today() + _DAY,
        )


def _is_passed(visit: Visit, ladder: Ladder) -> bool:
    """A closed door asks for nothing more once the step that came after it is somebody's."""
    if visit.outcome is not VisitOutcome.NOT_IN:
        return False
    return ladder.is_waiting or _since(ladder.closed_at, visit)


def _step_after(visit: Visit, ladder: Ladder) -> TodoKind | None:
    """What follows a closed door when the unit had not answered a call before."""
    call = ladder.wants_visit
    if visit.outcome is not VisitOutcome.NOT_IN or call is None:
        return None
    assert call.settled_at is not None
    assert visit.logged_at is not None
    step = step_after(VISIT)
    return step if isinstance(step, TodoKind) and call.settled_at <= visit.logged_at else None


def _after_visit(visit: Visit, solicitation: Solicitation, ladder: Ladder) -> FollowUp:
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
        step=_step_after(visit, ladder),
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
            audit.record("drop.visit", f"visit:{visit.id}")


def _enabled(user: User | None) -> User | None:
    return user if user is not None and user.is_enabled else None


def _id_of(user: User | None) -> int | None:
    return None if user is None else user.id


def hold_plans(visitor_ids: set[int]) -> None:
    """SQLite needs no lock: there, whoever writes is alone. In order, so that two who hold
    several plans never wait for each other."""
    if db.engine.dialect.name == "postgresql":
        for visitor_id in sorted(visitor_ids):
            db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_PLAN_LOCK, visitor_id)))
