"""Loads the demonstration: the reported campaign of 2023, 2022 before it, and one running now."""

import random
from datetime import timedelta

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import clock, workdays
from outreach.accounts.models import User, UserSector
from outreach.accounts.passwords import hash_password
from outreach.campaigns.models import Campaign, Sector
from outreach.db import db
from outreach.demo import accounts, current, figures, history, messages, register, todos
from outreach.digests.services import build_digest
from outreach.errors import Refused
from outreach.units.models import Unit
from outreach.visits.services import propose_follow_ups

SEED = 2023


def load_demo() -> bool:
    """Fills an empty database; False when the demonstration is there already. Does not commit."""
    campaigns = db.session.scalars(sa.select(Campaign)).all()
    if any(campaign.is_demo for campaign in campaigns):
        return False
    if campaigns or db.session.scalar(sa.select(sa.exists().where(Unit.id > 0))):
        raise Refused(_("数据库中已有正式数据，不能装入演示数据。请换用一个空的数据库。"))
    chance = random.Random(SEED)  # noqa: S311 - figures for show, the same for everyone
    sectors = figures.read_sectors()
    users = _make_users()
    units = register.make_register(sectors, chance)
    solicitors = _assign_sectors(sectors, users)
    past = history.make_campaign(
        history.Year(
            code="2022",
            first_day=figures.FIRST_DAY_2022,
            last_day=figures.LAST_DAY_2022,
            goal_fen=1_600_000_000,
            amounts=figures.make_amounts_2022(sectors, chance),
            unallocated_fen=0,
            donor_count=55_000,
            absent_share=0.05,
        ),
        sectors,
        units,
        solicitors,
        None,
        chance,
    )
    amounts = {sector.name: sector.amount_fen for sector in sectors}
    reported = history.make_campaign(
        history.Year(
            code="2023",
            first_day=figures.FIRST_DAY_2023,
            last_day=figures.LAST_DAY_2023,
            goal_fen=1_700_000_000,
            amounts=amounts,
            unallocated_fen=figures.TOTAL_2023 - sum(amounts.values()),
            donor_count=figures.DONORS_2023,
            absent_share=0,
        ),
        sectors,
        units,
        solicitors,
        past,
        chance,
    )
    _confirm_calendar()
    history.state_figures(reported, sectors)
    running = current.make_running_campaign(
        sectors, units, solicitors, users["secretary"], reported, chance
    )
    register.count_heads((past, reported, running), chance)
    messages.open_sending()
    versions = messages.make_templates(users["staff1"])
    messages.make_past_wave(running, versions[0], users["staff1"], users["secretary"], chance)
    todos.make_todos(running, users["secretary"])
    _scope_liaison(users["liaison1"])
    propose_follow_ups(running)
    build_digest(running, clock.today())
    return True


def _make_users() -> dict[str, User]:
    password_hash = hash_password(accounts.PASSWORD)
    users = {
        username: User(
            username=username,
            name=name,
            email=f"{username}@zonghui.example",
            role=role,
            password_hash=password_hash,
            created_at=clock.now(),
        )
        for username, role, name in accounts.ACCOUNTS
    }
    db.session.add_all(users.values())
    db.session.flush()
    return users


def _assign_sectors(sectors: list[figures.SectorFigure], users: dict[str, User]) -> dict[str, User]:
    """Each sector to the solicitor who has the fewest units so far, largest sectors first."""
    load = {username: 0 for username in users if username.startswith("staff")}
    solicitors = {}
    for sector in sorted(sectors, key=lambda sector: -sector.unit_count):
        username = min(load, key=lambda name: load[name])
        load[username] += sector.unit_count
        solicitors[sector.name] = users[username]
    return solicitors


def _scope_liaison(liaison: User) -> None:
    liaison.sectors = [
        UserSector(sector_id=sector_id)
        for sector_id in db.session.scalars(
            sa.select(Sector.id).filter_by(name=accounts.LIAISON_SECTOR)
        )
    ]


def _confirm_calendar() -> None:
    """The demonstration also runs in a year whose holidays are not announced yet."""
    for day in (clock.today(), clock.today() + timedelta(days=current.DAYS_AHEAD)):
        if not workdays.is_known(day.year) and not db.session.get(workdays.CalendarYear, day.year):
            db.session.add(workdays.CalendarYear(year=day.year, confirmed_at=clock.now()))
            db.session.flush()
