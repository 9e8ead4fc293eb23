"""The coming week: who visits which unit on which day, and why.

Read (`draft_week`), solved (`Draft.solve`), booked (`book_week`): the solver takes seconds, so
nothing is held meanwhile, and booking looks again whether things are as they were read. What
people confirmed is never touched; a proposal of the same week gives way to a better one.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median_low
from typing import Final

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach import audit, clock, money, workdays
from outreach.access import Role
from outreach.accounts.models import User
from outreach.accounts.queries import list_office
from outreach.campaigns.models import Campaign, CampaignStatus, ChangeReason
from outreach.db import db
from outreach.errors import Refused
from outreach.gifts.queries import sum_by_unit
from outreach.gifts.standings import Standing, list_standings
from outreach.todos import services as todos
from outreach.todos.models import Todo, TodoKind, TodoStatus
from outreach.todos.queries import list_reachable
from outreach.visits import assignment
from outreach.visits.assignment import Assignment, Stop, VisitorDay, Week
from outreach.visits.history import History, read_history
from outreach.visits.models import OPEN, Means, Visit, VisitOutcome, VisitStatus
from outreach.visits.planning import DayPlan, insert_open_visit
from outreach.visits.silence import is_promised
from outreach.visits.steps import Case, Choice, choose
from outreach.web import format_day
from outreach.workdays import CalendarUnknown, Half

CALLS_PER_DAY: Final = 5
"""How many calls are proposed to one person for one day."""
QUIET: Final = timedelta(days=5)
"""After a unit was last reached nobody asks again, unless its promise is due."""
NEWCOMER_YUAN: Final = 2_000
"""What a unit that gave nothing last year is worth."""
FALLING: Final = frozenset(
    {
        ChangeReason.LESS_INCOME,
        ChangeReason.BUDGET_CUT,
        ChangeReason.FEWER_PEOPLE,
        ChangeReason.REORGANISED,
        ChangeReason.GAVE_ELSEWHERE,
    }
)
_TODOS: Final = {
    Means.MESSAGE: TodoKind.CALL,
    Means.CALL: TodoKind.CALL,
    Means.LEADER: TodoKind.LEADER,
}
"""What is proposed to a person where the step is no visit. A message is for a wave."""


@dataclass(frozen=True)
class Candidate:
    """A unit that something is to be done about."""

    solicitation_id: int
    unit_id: int
    parent_unit_id: int | None
    solicitor_id: int | None
    district: str
    worth: int
    """Last year's yuan, more where it is urgent and less where nobody is known."""
    choice: Choice
    reason: str
    days: frozenset[date]
    half_days: dict[date, Half]

    @property
    def stop(self) -> Stop:
        return Stop(
            key=self.solicitation_id,
            worth=self.worth * self.choice.visit_gain // 100,
            district=self.district,
            days=self.days,
            visitor_id=self.solicitor_id,
            half_days=self.half_days,
        )

    @property
    def call(self) -> TodoKind | None:
        return _TODOS.get(self.choice.means)

    @property
    def call_alternative(self) -> Means:
        is_message = self.choice.means is Means.MESSAGE
        return Means.MESSAGE if is_message else self.choice.alternative


@dataclass(frozen=True)
class Draft:
    monday: date
    days: list[date]
    candidates: dict[int, Candidate]
    week: Week

    def solve(self, seconds: float = assignment.SECONDS) -> Assignment:
        return assignment.solve(self.week, seconds=seconds)

    def key(self, solicitation_id: int) -> str:
        return f"{_prefix(self.monday)}{solicitation_id}"


@dataclass(frozen=True)
class Booked:
    """What a run of the planner did."""

    visit_count: int = 0
    trip_count: int = 0
    todo_count: int = 0
    message_count: int = 0
    """Units for which a message is likely to do: a wave is for people to make."""


def coming_week() -> date:
    """Monday of this week; from Friday on, of the next one."""
    today = clock.today()
    return clock.monday_of(today + timedelta(days=3 if today.weekday() >= 4 else 0))


def draft_week(campaign: Campaign, monday: date) -> Draft:
    """What there is to do and who has time; Refused when the campaign does not run, or the days
    are of a year that nobody knows."""
    if campaign.status is not CampaignStatus.RUNNING:
        raise Refused(_("活动未在进行，不能编排周计划。"))
    days = _list_days(campaign, monday)
    standings = list_standings(campaign, outstanding_only=True)
    candidates = _Reader(campaign, monday, days).list_candidates(standings)
    visitors = _list_visitors(standings)
    places = _list_places(campaign, monday, days, visitors)
    stops = [candidate.stop for candidate in candidates]
    trip = median_low(stop.worth for stop in stops) // 2 if stops else 0
    return Draft(
        monday, days, {c.solicitation_id: c for c in candidates}, Week(stops, places, trip)
    )


def book_week(campaign: Campaign, draft: Draft, found: Assignment) -> Booked:
    """Turns an assignment into proposals. Nobody else puts visits into the visitors' days
    meanwhile, and a unit that somebody has taken since the draft is left to them."""
    places = draft.week.days
    plan = DayPlan(campaign, {place.visitor_id for place in places})
    still = {s.solicitation.id for s in list_standings(campaign, outstanding_only=True)}
    old = {visit.solicitation_id: visit for visit in _lock_proposals(campaign, draft.monday)}
    for visit in old.values():
        visit.parent_id = None
        plan.leave(visit.visitor_id, visit.planned_on)
    booked: Assignment = {}
    for key in sorted(found, key=lambda key: (-draft.candidates[key].worth, key)):
        place = places[found[key]]
        if key not in still or not plan.has_room(place.visitor_id, place.day):
            continue
        if _book(draft, draft.candidates[key], place, old.pop(key, None)):
            booked[key] = found[key]
            plan.take(place.visitor_id, place.day)
    gone = [visit.id for visit in old.values()]
    # What was made with it, or would have been, stays without it.
    joined = sa.update(Visit).where(Visit.parent_id.in_(gone)).values(parent_id=None)
    db.session.execute(joined, execution_options={"synchronize_session": "fetch"})
    for visit in old.values():
        db.session.delete(visit)
    db.session.flush()
    _join_parents(draft, booked)
    left = [c for key, c in draft.candidates.items() if key not in found and key in still]
    return Booked(
        visit_count=len(booked),
        trip_count=draft.week.count_trips(booked),
        todo_count=_propose_todos(draft, left),
        message_count=sum(candidate.choice.means is Means.MESSAGE for candidate in left),
    )


def return_unworked(campaign: Campaign) -> int:
    """Takes visits off the plan that nobody made: `return_workdays` after their day the unit is
    free again. How many."""
    calendar, today = workdays.load_calendar(), clock.today()
    overdue = db.session.scalars(
        sa.select(Visit)
        .join(Visit.solicitation)
        .where(
            Visit.solicitation.has(campaign_id=campaign.id),
            Visit.status.in_(OPEN),
            Visit.planned_on < today,
        )
        # A row that somebody is working on is theirs.
        .with_for_update(of=Visit, skip_locked=True),
        execution_options={"populate_existing": True},
    )
    count = 0
    for visit in overdue:
        try:
            is_over = calendar.add_workdays(visit.planned_on, campaign.return_workdays) < today
        except CalendarUnknown:
            continue
        if is_over:
            visit.status = VisitStatus.DROPPED
            visit.note = str(
                _("逾期 %(count)s 个工作日未走访，退回重排", count=campaign.return_workdays)
            )
            audit.record("return.visit", f"visit:{visit.id}", day=visit.planned_on.isoformat())
            count += 1
    return count


class _Reader:
    """What is known of the units, read once."""

    def __init__(self, campaign: Campaign, monday: date, days: Sequence[date]) -> None:
        self.campaign = campaign
        self.monday = monday
        self.days = days
        self.today = clock.today()
        self.history: History = read_history(campaign)
        earlier = campaign.previous.previous_id if campaign.previous else None
        self.earlier = dict(db.session.execute(sum_by_unit(earlier)).all()) if earlier else {}
        self.replaced = {
            visit.solicitation_id for visit in db.session.scalars(_proposals(campaign, monday))
        }

    def list_candidates(self, standings: Sequence[Standing]) -> list[Candidate]:
        free = [standing for standing in standings if self._is_free(standing)]
        reachable = list_reachable({s.solicitation.unit_id for s in free})
        self.reachable = {contact.unit_id for contact in reachable}
        ranked = sorted((_yuan_of(s) for s in free), reverse=True)
        self.big = ranked[len(ranked) // 5] if ranked else 0
        found = (self._describe(standing) for standing in free)
        return [candidate for candidate in found if candidate.days]

    def _is_free(self, standing: Standing) -> bool:
        """Nobody is about to do something, nothing was decided against this week."""
        key = standing.solicitation.id
        if key in self.replaced:
            return True
        is_taken = key in self.history.waiting or self.history.ladder(key).is_waiting
        return not is_taken and f"{_prefix(self.monday)}{key}" not in self.history.keys

    def _describe(self, standing: Standing) -> Candidate:
        solicitation = standing.solicitation
        case = self._case(standing)
        due_on = standing.pledge_due_on if is_promised(standing) else None
        reached_on = date.min if case.is_due else solicitation.last_contact_on
        quiet_until = reached_on + QUIET if reached_on else date.min
        rest = max(solicitation.snoozed_until or date.min, due_on or date.min, quiet_until)
        return Candidate(
            solicitation_id=solicitation.id,
            unit_id=solicitation.unit_id,
            parent_unit_id=solicitation.unit.parent_id,
            solicitor_id=solicitation.solicitor_id,
            district=solicitation.unit.district,
            worth=_yuan_of(standing) * self._urgency(standing, case) // 100,
            choice=choose(case),
            reason="；".join(str(part) for part in self._reasons(standing, case))[:170],
            days=frozenset(d for d in self.days if d > rest and solicitation.unit.receives_on(d)),
            half_days={d: half for d in self.days if (half := solicitation.unit.half_on(d))},
        )

    def _case(self, standing: Standing) -> Case:
        solicitation = standing.solicitation
        key = solicitation.id
        reminder = self.history.reminders.get(key)
        visit = self.history.last_visits.get(key)
        return Case(
            has_contact=solicitation.unit_id in self.reachable,
            has_history=standing.previous_fen > 0,
            is_big=0 < self.big <= _yuan_of(standing),
            gives_less=self._gives_less(standing),
            is_due=standing.pledge_due_on is not None and standing.pledge_due_on < self.today,
            was_reminded=reminder is not None,
            left_call_unanswered=self.history.ladder(key).unanswered is not None,
            last_outcome=visit.outcome if visit else None,
        )

    def _gives_less(self, standing: Standing) -> bool:
        """People say so, or last year it was a fifth less than the year before."""
        before = self.earlier.get(standing.solicitation.unit_id, 0)
        has_fallen = 0 < standing.previous_fen < before * 4 // 5
        return has_fallen or standing.solicitation.change_reason in FALLING

    def _urgency(self, standing: Standing, case: Case) -> int:
        percent = 100 + min(standing.days_silent, 30)
        percent += 50 if case.is_due else 0
        percent += 30 if case.gives_less else 0
        return percent - (0 if case.has_contact else 30)

    def _reasons(self, standing: Standing, case: Case) -> list[LazyString]:
        visit = self.history.last_visits.get(standing.solicitation.id)
        due_on = format_day(standing.pledge_due_on)
        amount = money.format_wan_yuan(standing.previous_fen)
        day = format_day(visit.planned_on if visit else None)
        told = {
            VisitOutcome.WILL_DISCUSS: _("%(day)s 走访时表示需研究", day=day),
            VisitOutcome.COME_AGAIN: _("%(day)s 走访时请我们再来", day=day),
            VisitOutcome.NOT_IN: _("%(day)s 走访未见到负责人", day=day),
        }
        reasons = (
            (case.is_due, _("认捐 %(day)s 到期未到账", day=due_on)),
            (case.last_outcome in told, told.get(case.last_outcome or VisitOutcome.PLEDGED)),
            (case.has_history, _("上年 %(amount)s 万元", amount=amount)),
            (not case.has_history, _("上年未捐")),
            (case.gives_less, _("捐款有下降迹象")),
            (True, _("%(count)s 天没有联系", count=standing.days_silent)),
            (case.left_call_unanswered, _("打电话没有答复")),
            (case.was_reminded, _("已发提醒")),
            (not case.has_contact, _("没有可用的联系方式")),
        )
        return [text for is_so, text in reasons if is_so and text is not None]


def _yuan_of(standing: Standing) -> int:
    return max(standing.previous_fen, standing.missing_fen) // 100 or NEWCOMER_YUAN


def _prefix(monday: date) -> str:
    return f"week:{monday.isoformat()}:"


def _list_days(campaign: Campaign, monday: date) -> list[date]:
    """Working days of the week that are still to come; none is today."""
    first = max(monday, clock.today() + timedelta(days=1), campaign.starts_on)
    last = min(monday + timedelta(days=6), campaign.ends_on)
    try:
        return workdays.list_workdays(first, last)
    except CalendarUnknown as unknown:
        raise Refused(
            _(
                "还没有 %(year)s 年的放假安排，不能编排。请先在“设置 → 工作日历”里填写并确认。",
                year=unknown.year,
            )
        ) from unknown


def _list_visitors(standings: Sequence[Standing]) -> list[User]:
    """Staff, and whoever else of the office asks a unit."""
    solicitors = {standing.solicitation.solicitor_id for standing in standings}
    return [user for user in list_office() if user.role is Role.STAFF or user.id in solicitors]


def _list_places(
    campaign: Campaign, monday: date, days: Sequence[date], visitors: Sequence[User]
) -> list[VisitorDay]:
    plan = DayPlan(campaign, {visitor.id for visitor in visitors})
    for visit in db.session.scalars(_proposals(campaign, monday)):
        plan.leave(visit.visitor_id, visit.planned_on)
    districts = _fixed_districts(campaign, monday, days)
    return [
        VisitorDay(
            visitor.id,
            day,
            room=max(plan.count_room(visitor.id, day), 0),
            districts=frozenset(districts[visitor.id, day]),
            is_there=plan.rooms.of(visitor.id, day) > 0,
            half=plan.rooms.half_of(visitor.id, day),
        )
        for visitor in visitors
        for day in days
    ]


def _fixed_districts(
    campaign: Campaign, monday: date, days: Sequence[date]
) -> defaultdict[tuple[int | None, date], set[str]]:
    """Where people go in any case."""
    replaced = sa.select(_proposals(campaign, monday).subquery().c.id)
    visits = db.session.scalars(
        sa.select(Visit).where(
            Visit.status.in_(OPEN), Visit.planned_on.in_(days), Visit.id.not_in(replaced)
        )
    )
    districts: defaultdict[tuple[int | None, date], set[str]] = defaultdict(set)
    for visit in visits:
        districts[visit.visitor_id, visit.planned_on].add(visit.solicitation.unit.district)
    return districts


def _proposals(campaign: Campaign, monday: date) -> sa.Select[Visit]:
    """What was proposed for this week and nobody has confirmed, nor anything that goes with it."""
    child = sa.orm.aliased(Visit)
    has_planned_child = sa.exists().where(
        child.parent_id == Visit.id, child.status == VisitStatus.PLANNED
    )
    return sa.select(Visit).where(
        Visit.solicitation.has(campaign_id=campaign.id),
        Visit.status == VisitStatus.PROPOSED,
        Visit.proposal_key.startswith(_prefix(monday)),
        ~has_planned_child,
    )


def _lock_proposals(campaign: Campaign, monday: date) -> list[Visit]:
    """Without those that somebody is working on."""
    statement = _proposals(campaign, monday).with_for_update(of=Visit, skip_locked=True)
    return list(db.session.scalars(statement, execution_options={"populate_existing": True}))


def _book(draft: Draft, candidate: Candidate, place: VisitorDay, old: Visit | None) -> bool:
    choice = candidate.choice
    alternative = choice.alternative if choice.means is Means.VISIT else choice.means
    if old is not None:
        if (old.visitor_id, old.planned_on) != (place.visitor_id, place.day):
            old.position = None
        old.visitor_id, old.planned_on = place.visitor_id, place.day
        old.reason, old.alternative = candidate.reason, alternative
        return True
    visit = insert_open_visit(
        solicitation_id=candidate.solicitation_id,
        visitor_id=place.visitor_id,
        status=VisitStatus.PROPOSED,
        planned_on=place.day,
        reason=candidate.reason,
        alternative=alternative,
        proposal_key=draft.key(candidate.solicitation_id),
    )
    return visit is not None


def _join_parents(draft: Draft, booked: Assignment) -> None:
    """A unit that is visited on the same round as its unit in charge goes where that one goes."""
    keys = {draft.candidates[key].unit_id: key for key in booked}
    visits = {
        visit.solicitation_id: visit
        for visit in db.session.scalars(
            sa.select(Visit).where(Visit.solicitation_id.in_(booked), Visit.status.in_(OPEN))
        )
    }
    for key, place in booked.items():
        parent = keys.get(draft.candidates[key].parent_unit_id or 0)
        if parent is not None and booked[parent] == place:
            visits[key].parent_id = visits[parent].id


def _propose_todos(draft: Draft, left: Sequence[Candidate]) -> int:
    """Calls to the coordinator or the leader: first about units for which that is the step to take;
    then, in the time that is left, about those for which a message would do, which waits until
    people make a wave."""
    days: dict[int, list[date]] = defaultdict(list)
    for place in draft.week.days:
        if place.is_there:
            days[place.visitor_id].append(place.day)
    taken = _count_todos(draft.days)
    count = 0
    ranked = sorted(
        (c for c in left if c.call is not None and c.solicitor_id in days),
        key=lambda c: (c.choice.means is Means.MESSAGE, -c.worth, c.solicitation_id),
    )
    for candidate in ranked:
        assert candidate.call is not None
        owner = candidate.solicitor_id or 0
        free = (
            day
            for day in days[owner]
            if day in candidate.days and taken[owner, day] < CALLS_PER_DAY
        )
        day = next(free, None)
        if day is None:
            continue
        also = _("也可以：%(step)s", step=candidate.call_alternative.label)
        is_new = todos.propose(
            candidate.solicitation_id,
            candidate.call,
            reason=f"{candidate.reason}；{also}",
            due_on=day,
            key=draft.key(candidate.solicitation_id),
            owner_id=owner,
        )
        count += is_new
        taken[owner, day] += is_new
    return count


def _count_todos(days: Sequence[date]) -> Counter[tuple[int | None, date]]:
    rows = db.session.execute(
        sa.select(Todo.owner_id, Todo.due_on, sa.func.count())
        .where(Todo.status == TodoStatus.OPEN, Todo.due_on.in_(days))
        .group_by(Todo.owner_id, Todo.due_on)
    )
    return Counter({(owner_id, day): count for owner_id, day, count in rows})
