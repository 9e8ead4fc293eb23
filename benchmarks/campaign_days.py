"""A campaign of 120 days, lived twice: `.venv/bin/python -m benchmarks.campaign_days [--seed N]`.

The demonstration's 593 units and eight staff, on SQLite, day by day with the clock moved and by the
real services. Once staff make the visits and calls that the planner proposes; once they go down
their lists of units, again from the top when they are through. Both have the same time: four visits
and five calls a person and day, the reminder that the demonstration has sent to half of the units,
and leave the same units in peace. How units answer is a dice of its own, which knows nothing of the
planner's rules of thumb: the same unit gives the same answer to its first visit in both lives.

Secured is what came in or was promised, as a share of what the units gave last year.
"""

import argparse
import random
import tempfile
import time as timing
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import sqlalchemy as sa
import time_machine
from flask_migrate import upgrade

import config
from app import create_app
from outreach import clock, workdays
from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, CampaignStatus, DeclineReason, Solicitation
from outreach.db import db
from outreach.demo import figures, history, messages, register
from outreach.gifts.models import GiftKind
from outreach.gifts.services import record_gift, record_pledge
from outreach.gifts.standings import Standing, list_standings
from outreach.todos import services as todos
from outreach.todos.models import Todo, TodoKind, TodoOutcome, TodoStatus
from outreach.visits import services as visits
from outreach.visits.models import OPEN, Visit, VisitOutcome
from outreach.visits.planning import propose_follow_ups
from outreach.visits.silence import is_promised
from outreach.visits.week_planning import book_week, coming_week, draft_week, return_unworked
from tests import factories

FIRST, LAST = date(2026, 9, 1), date(2026, 12, 29)
WAVE_ON = date(2026, 9, 18)
STAFF, VISITS, CALLS = 8, 4, 5
REST = timedelta(days=7)
"""Nobody goes to a unit again so soon, in either life."""


class Life:
    """One campaign and what has happened in it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.users = [factories.make_user() for _ in range(STAFF)]
        self.secretary = factories.make_user(Role.SECRETARY_GENERAL)
        self.campaign = self._open()
        self.previous = {s.solicitation.id: s.previous_fen for s in list_standings(self.campaign)}
        self.total = sum(self.previous.values())
        self.attempts: Counter[tuple[int, str]] = Counter()
        self.payments: defaultdict[date, list[tuple[int, int]]] = defaultdict(list)
        self.trips = self.visits = self.calls = 0
        self.position = dict.fromkeys((user.id for user in self.users), 0)

    def _open(self) -> Campaign:
        sectors = figures.read_sectors()
        units = register.make_register(sectors, self.chance)
        owners = {sector.name: self.users[i % STAFF] for i, sector in enumerate(sectors)}
        amounts = {sector.name: sector.amount_fen for sector in sectors}
        year = history.Year("2023", date(2023, 9, 1), date(2023, 12, 31), 0, amounts, 0, 59_600, 0)
        before = history.make_campaign(year, sectors, units, owners, None, self.chance)
        year = history.Year("2026", FIRST, date(2026, 12, 31), 0, {}, 0, 0, 0)
        campaign = history.open_campaign(year, sectors, before, CampaignStatus.RUNNING)
        everyone = [(sector, unit) for sector in campaign.sectors for unit in units[sector.name]]
        for number, (sector, unit) in enumerate(everyone):
            db.session.add(
                Solicitation(
                    campaign_id=campaign.id,
                    unit_id=unit.id,
                    sector_id=sector.id,
                    solicitor_id=self.users[number % STAFF].id,
                )
            )
        messages.open_sending()
        self.letter = messages.make_templates(self.users[0])[0]
        db.session.commit()
        return campaign

    def secured(self) -> float:
        standings = list_standings(self.campaign)
        return sum(max(s.given_fen, s.pledged_fen) for s in standings) / self.total

    def pay(self, today: date) -> None:
        """What was promised for today or comes by itself."""
        for standing in self.open_standings():
            key = standing.solicitation.id
            if self._dice(key, f"day{today}").random() < 0.0015 * self._will(key):
                self.payments[today].append((key, self._amount(key)))
        for key, amount in self.payments.pop(today, []):
            solicitation = db.session.get_one(Solicitation, key)
            record_gift(
                campaign=self.campaign,
                amount_fen=amount,
                kind=GiftKind.UNIT,
                received_on=today,
                unit=solicitation.unit,
            )

    def remind(self) -> None:
        messages.make_past_wave(
            self.campaign, self.letter, self.users[0], self.secretary, self.chance
        )

    def open_standings(self) -> list[Standing]:
        return list_standings(self.campaign, outstanding_only=True)

    def visit(self, visit: Visit, by: User) -> None:
        key = visit.solicitation_id
        dice, will = self._next(key, "visit"), self._will(key)
        self.visits += 1
        facts: dict[str, object] = {}
        if dice.random() > 0.75:
            outcome = VisitOutcome.NOT_IN
        elif dice.random() < 0.55 * will:
            outcome = VisitOutcome.PLEDGED
            facts = self._promise(key, dice)
        elif dice.random() < 0.1 * (1 - will):
            outcome, facts = VisitOutcome.DECLINED, {"decline_reason": DeclineReason.HARD_TIMES}
        elif dice.random() < 0.6:
            outcome = VisitOutcome.WILL_DISCUSS
        else:
            outcome, facts = VisitOutcome.COME_AGAIN, {"next_on": clock.today() + REST}
        visits.log_visit(visit, outcome=outcome, by=by, **facts)

    def call(self, todo: Todo, by: User) -> None:
        key = todo.solicitation_id
        is_leader = todo.kind is not TodoKind.CALL
        dice, will = self._next(key, todo.kind.value), self._will(key)
        self.calls += 1
        if dice.random() > (0.75 if is_leader else 0.6):
            todos.settle(todo, outcome=TodoOutcome.NO_ANSWER, by=by)
            return
        todos.settle(todo, outcome=TodoOutcome.SETTLED, by=by)
        if dice.random() < (0.4 if is_leader else 0.25) * will:
            promise = self._promise(key, dice)
            record_pledge(
                todo.solicitation,
                amount_fen=promise["pledge_fen"],
                due_on=promise["pledge_due_on"],
                by=by,
            )

    def _promise(self, key: int, dice: random.Random) -> dict[str, object]:
        amount = self._amount(key)
        due_on = min(clock.today() + timedelta(days=dice.randint(5, 25)), LAST)
        late = dice.choices((0, 20, None), (85, 10, 5))[0]
        if late is not None:
            self.payments[due_on + timedelta(days=late)].append((key, amount))
        return {"pledge_fen": amount, "pledge_due_on": due_on}

    def _amount(self, key: int) -> int:
        before = self.previous[key] or 200_000
        return max(int(before * self._dice(key, "amount").lognormvariate(0, 0.15)), 10_000)

    def _will(self, key: int) -> float:
        return self._dice(key, "will").betavariate(4, 2)

    def _next(self, key: int, kind: str) -> random.Random:
        self.attempts[key, kind] += 1
        return self._dice(key, f"{kind}{self.attempts[key, kind]}")

    def _dice(self, key: int, what: str) -> random.Random:
        return random.Random(f"{self.seed}:{key}:{what}")


def follow_plan(life: Life, today: date) -> None:
    """What was proposed for today is confirmed and made; then tomorrow is looked at."""
    for visit in _list_visits(life, today):
        by = visit.visitor or life.users[0]
        visits.confirm_visit(visit, by=by)
    life.trips += len(
        {(v.visitor_id, v.solicitation.unit.district) for v in _list_visits(life, today)}
    )
    for visit in _list_visits(life, today):
        life.visit(visit, visit.visitor or life.users[0])
    done: Counter[int] = Counter()
    for todo in _list_todos(life, today):
        assert todo.owner is not None
        if done[todo.owner_id] < CALLS:
            done[todo.owner_id] += 1
            life.call(todo, todo.owner)
    propose_follow_ups(life.campaign)
    return_unworked(life.campaign)
    db.session.commit()
    if today.weekday() in {0, 2, 4}:
        draft = draft_week(life.campaign, coming_week())
        db.session.commit()
        book_week(life.campaign, draft, draft.solve(seconds=3))


def follow_list(life: Life, today: date) -> None:
    """The next units of a list that may be asked: the first are visited, the others called."""
    rows = defaultdict(list)
    for standing in life.open_standings():
        solicitation = standing.solicitation
        last = solicitation.last_contact_on or date.min
        rests = is_promised(standing) or standing.is_snoozed(today) or last + REST > today
        if not rests or last == date.min:
            rows[solicitation.solicitor_id].append(solicitation.id)
    for user in life.users:
        ids = sorted(rows[user.id])
        ahead = [key for key in ids if key > life.position[user.id]]
        chosen = (ahead + ids)[: min(VISITS + CALLS, len(ids))]
        if chosen:
            life.position[user.id] = chosen[-1]
        solicitations = [db.session.get_one(Solicitation, key) for key in chosen]
        life.trips += len({row.unit.district for row in solicitations[:VISITS]})
        for solicitation in solicitations[:VISITS]:
            life.visit(visits.start_unplanned_visit(solicitation, by=user), user)
        for solicitation in solicitations[VISITS:]:
            key = f"list:{today}:{solicitation.id}"
            todos.propose(
                solicitation.id, TodoKind.CALL, reason="", due_on=today, key=key, owner_id=user.id
            )
            open_call = sa.select(Todo).filter_by(
                solicitation_id=solicitation.id, kind=TodoKind.CALL, status=TodoStatus.OPEN
            )
            life.call(db.session.scalars(open_call).one(), user)


def _list_visits(life: Life, today: date) -> list[Visit]:
    return list(
        db.session.scalars(
            sa.select(Visit)
            .where(
                Visit.solicitation.has(campaign_id=life.campaign.id),
                Visit.status.in_(OPEN),
                Visit.planned_on == today,
            )
            .order_by(Visit.id)
        )
    )


def _list_todos(life: Life, today: date) -> list[Todo]:
    return list(
        db.session.scalars(
            sa.select(Todo)
            .where(
                Todo.solicitation.has(campaign_id=life.campaign.id),
                Todo.status == TodoStatus.OPEN,
                Todo.due_on <= today,
                Todo.owner_id.in_([user.id for user in life.users]),
            )
            .order_by(Todo.due_on, Todo.id)
        )
    )


def live(way, seed: int) -> Iterator[tuple[int, float, Life]]:
    """Week, share secured by its end, and the life."""
    with time_machine.travel(f"{FIRST}T08:00:00+08:00") as traveller:
        life = Life(seed)
        day = FIRST
        while day <= LAST:
            traveller.move_to(f"{day}T08:00:00+08:00")
            if day == WAVE_ON:
                life.remind()
            life.pay(day)
            db.session.commit()
            if workdays.is_workday(day):
                way(life, day)
                db.session.commit()
            day += timedelta(days=1)
            if (day - FIRST).days % 28 == 0 or day > LAST:
                yield (day - FIRST).days // 7, life.secured(), life


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2023)
    options = parser.parse_args()
    for name, way in {"planner": follow_plan, "list order": follow_list}.items():
        started = timing.monotonic()
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            root = Path(directory)
            settings = config.load(data_dir=root, database_url=f"sqlite:///{root}/days.db")
            with create_app(settings).app_context():
                upgrade()
                db.session.remove()
                for week, share, life in live(way, options.seed):
                    print(
                        f"{name}: week {week:2} {share:6.1%} of last year's money secured;"
                        f" {life.visits} visits, {life.trips} trips, {life.calls} calls",
                        flush=True,
                    )
                db.session.remove()
                db.engine.dispose()
        print(f"{name}: {timing.monotonic() - started:.0f} seconds", flush=True)


if __name__ == "__main__":
    main()
