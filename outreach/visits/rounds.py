"""The week of visits and calls by person, day and district, as it is read and printed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from sqlalchemy.orm import joinedload

from outreach import workdays
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.todos.models import Todo
from outreach.todos.queries import select_todos
from outreach.visits.day_order import arrange
from outreach.visits.models import OPEN, Absence, VisitStatus
from outreach.visits.queries import Card, list_cards, list_visits
from outreach.visits.staffing import Rooms
from outreach.workdays import CalendarUnknown


@dataclass(frozen=True)
class Round:
    """One person's day."""

    day: date
    districts: list[tuple[str, list[Card]]]
    todos: list[Todo]
    room: int
    absences: list[Absence]
    has_meeting: bool
    previous: date | None
    """Working day of the week before this one, to which a visit can be moved."""
    next: date | None

    @property
    def visit_ids(self) -> list[int]:
        """In the order of the day."""
        return [card.visit.id for _district, cards in self.districts for card in cards]

    @property
    def visit_count(self) -> int:
        return len(self.visit_ids)


@dataclass(frozen=True)
class PersonPlan:
    visitor: User | None
    rounds: list[Round]

    @property
    def proposals(self) -> list[Card]:
        return [
            card
            for each in self.rounds
            for _district, cards in each.districts
            for card in cards
            if card.visit.status is VisitStatus.PROPOSED
        ]


@dataclass(frozen=True)
class Plan:
    monday: date
    people: list[PersonPlan]

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def previous(self) -> date:
        return self.monday - timedelta(days=7)

    @property
    def next(self) -> date:
        return self.monday + timedelta(days=7)


def build_plan(
    campaign: Campaign, monday: date, *, viewer: User, visitor_id: int | None = None
) -> Plan:
    """Open visits and to-dos of a week; a person or a day without any is left out."""
    sunday = monday + timedelta(days=6)
    visits = list_visits(
        campaign, viewer=viewer, visitor_id=visitor_id, first=monday, last=sunday, status=OPEN
    )
    cards: defaultdict[tuple[int | None, date], list[Card]] = defaultdict(list)
    people: dict[int | None, User | None] = {}
    for card in list_cards(campaign, visits, viewer):
        visit = card.visit
        cards[visit.visitor_id, visit.planned_on].append(card)
        people[visit.visitor_id] = visit.visitor
    todos: defaultdict[tuple[int | None, date], list[Todo]] = defaultdict(list)
    for todo in _list_todos(campaign, monday, sunday, viewer, visitor_id):
        todos[todo.owner_id, todo.due_on].append(todo)
        people.setdefault(todo.owner_id, todo.owner)
    rooms = Rooms(campaign.visits_per_day, [key for key in people if key])
    days = _list_workdays(monday, sunday)
    every = sorted({*days, *(day for _key, day in (*cards, *todos))})

    def round_of(key: int | None, day: date) -> Round:
        return Round(
            day=day,
            districts=_by_district(cards[key, day]),
            todos=todos[key, day],
            room=rooms.of(key, day) if key else 0,
            absences=rooms.absences_of(key, day) if key else [],
            has_meeting=bool(key) and rooms.has_meeting(key or 0, day),
            previous=max((other for other in days if other < day), default=None),
            next=min((other for other in days if other > day), default=None),
        )

    order = sorted(people, key=lambda key: (key is None, key or 0))
    rounds = {key: [round_of(key, day) for day in every] for key in order}
    return Plan(
        monday,
        [
            PersonPlan(
                people[key],
                [
                    each
                    for each in rounds[key]
                    if each.districts or each.todos or each.absences or each.has_meeting
                ],
            )
            for key in order
        ],
    )


def _by_district(cards: Sequence[Card]) -> list[tuple[str, list[Card]]]:
    """In the order of the day: a district that is gone to twice stands there twice."""
    of_visit = {card.visit.id: card for card in cards}
    ordered = [of_visit[visit.id] for visit in arrange(card.visit for card in cards)]
    return [(name, list(group)) for name, group in groupby(ordered, lambda c: c.unit.district)]


def _list_todos(
    campaign: Campaign, first: date, last: date, viewer: User, owner_id: int | None
) -> list[Todo]:
    statement = (
        select_todos(campaign, viewer)
        .where(Todo.due_on.between(first, last))
        .options(joinedload(Todo.owner))
    )
    if owner_id is not None:
        statement = statement.where(Todo.owner_id == owner_id)
    return list(db.session.scalars(statement))


def _list_workdays(first: date, last: date) -> list[date]:
    """In a year that nobody knows: Monday to Friday."""
    try:
        return workdays.list_workdays(first, last)
    except CalendarUnknown:
        return [first + timedelta(days=offset) for offset in range(5)]
