"""Whatever is said of lines and taken back, in whatever order: the money is counted once."""

from datetime import date
from threading import Thread

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.errors import OutreachError
from outreach.gifts import groups, lines, payers
from outreach.gifts.ledger import check_ledger
from outreach.gifts.matching import match_lines
from outreach.gifts.models import Gift, GiftKind, LineGift, LineStatus, Statement, StatementLine
from outreach.gifts.services import record_gift, reverse_gift
from outreach.gifts.statement_undoing import undo_statement
from outreach.gifts.statements import apply_statement
from tests import factories
from tests.services import PATIENCE
from tests.statement_files import Paid, bank_csv

DAY = date(2026, 10, 12)
PAID = [
    Paid("300.00", "衡阳市教育局", DAY, "1"),
    Paid("300.00", "衡阳市教育局", DAY),
    Paid("300.00", "衡阳市教育局", DAY),
    Paid("5.00", "衡阳市卫健委", DAY, "2"),
    Paid("7.00", "张三", DAY, "3"),
    Paid("-9.00", "工商银行", DAY, "4"),
]
VERBS = (
    "take_in",
    "take_back",
    "confirm",
    "claim",
    "split",
    "aside",
    "reopen",
    "reverse",
    "ungroup",
    "record",
    "link",
)
steps = st.lists(
    st.tuples(st.sampled_from(VERBS), st.integers(0, 5), st.integers(0, 1)), max_size=12
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=steps)
@example(steps=[("claim", 0, 0), ("reopen", 0, 0), ("claim", 0, 1), ("reverse", 0, 0)])
@example(steps=[("split", 0, 0), ("reverse", 0, 0), ("reopen", 0, 0), ("split", 0, 1)])
@example(steps=[("split", 1, 0), ("ungroup", 0, 0), ("claim", 1, 0), ("reverse", 0, 0)])
@example(
    steps=[
        ("claim", 0, 0),
        ("reopen", 0, 0),
        ("take_back", 0, 0),
        ("take_in", 1, 0),
        ("claim", 0, 0),
    ]
)
@example(steps=[("record", 0, 0), ("confirm", 0, 0), ("reverse", 0, 0), ("confirm", 0, 0)])
def test_each_payment_is_counted_once_whatever_is_said_and_taken_back(app: Flask, steps):
    campaign, units, by = make_world()
    for verb, number, other in [("take_in", 0, 0), *steps]:
        try:
            with db.session.begin_nested():
                do(verb, number, other, campaign, units, by)
        except OutreachError:
            pass
        db.session.commit()
    check(campaign)


def make_world():
    campaign = factories.make_campaign()
    sector = factories.make_sector(campaign)
    units = []
    for name in ("衡阳市教育局", "衡阳市卫健委"):
        unit = db.session.scalar(sa.select(factories.Unit).filter_by(name=name))
        unit = unit or factories.make_unit(name=name, short_name="")
        units.append(factories.make_solicitation(campaign, sector, unit=unit))
    return campaign, units, factories.make_user()


def do(verb: str, number: int, other: int, campaign: Campaign, units: list[Solicitation], by):
    kept = list(
        db.session.scalars(
            sa.select(StatementLine).filter_by(campaign_id=campaign.id).order_by(StatementLine.id)
        )
    )
    line = kept[number % len(kept)] if kept else None
    standing = [gift for gift in list_gifts(campaign) if not is_reversed(gift)]
    gift = standing[number % len(standing)] if standing else None
    if verb == "take_in":
        apply_statement(campaign, bank_csv(PAID[other : number + 1], footer=bool(other)))
    elif verb == "take_back":
        latest = sa.select(Statement).filter_by(campaign_id=campaign.id)
        if statement := db.session.scalar(latest.order_by(Statement.id.desc())):
            undo_statement(statement)
    elif verb == "confirm":
        choices = [choice for row in kept if row.is_clear and (choice := lines.propose(row))]
        lines.confirm_lines(campaign, choices, by=by)
    elif verb == "claim" and line:
        lines.claim_line(line, units[other], kind=GiftKind.UNIT, by=by)
        payers.learn_payer(line, units[other], by=by)
    elif verb == "split" and line:
        own = groups.Part(line.net_fen - 100, GiftKind.UNIT, unit=units[other].unit)
        people = groups.Part(100, GiftKind.INDIVIDUAL, unit=units[1 - other].unit)
        groups.claim_line(line, [own, people], key=f"{line.id}:{line.reopened_count}", by=by)
    elif verb == "aside" and line:
        lines.set_line_aside(line, reason="会费", by=by)
    elif verb == "reopen" and line:
        lines.reopen_line(line, reason="看错了", by=by)
    elif verb == "reverse" and gift:
        reverse_gift(gift, reason="重复", by=by)
        lines.release_gifts(campaign, Gift.id == gift.id)
        match_lines(campaign)
    elif verb == "ungroup" and gift and gift.group:
        groups.reverse_group(gift.group, reason="退回", by=by)
    elif verb == "record":
        record_gift(
            campaign=campaign,
            unit=units[other].unit,
            amount_fen=(300_00, 5_00)[other],
            kind=GiftKind.UNIT,
            received_on=DAY,
        )
    elif verb == "link" and line and gift:
        near = [row for row in standing if row.id in {gift.id, standing[other % len(standing)].id}]
        lines.link_line(line, near if other else [gift], by=by)


def check(campaign: Campaign) -> None:
    db.session.expire_all()
    assert [str(row.name) for row in check_ledger(campaign) if not row.holds] == []
    rows = db.session.scalars(sa.select(StatementLine).filter_by(campaign_id=campaign.id))
    claimed = 0
    for line in rows:
        assert bool(line.gifts) is (line.status is LineStatus.CLAIMED)
        if line.gifts:
            claimed += line.net_fen
            assert sum(gift.amount_fen for gift in line.gifts) == line.net_fen
            assert not any(is_reversed(gift) for gift in line.gifts)
        if line.status is not LineStatus.OPEN:
            assert (line.candidates, line.likely_gifts) == ([], [])
    loose = [gift for gift in list_gifts(campaign) if not is_reversed(gift) and not has_line(gift)]
    made = [gift.id for gift in loose if gift.line_key or gift.group_id]
    assert made == [], "made of a line that is open"
    typed = sum(gift.amount_fen for gift in loose)
    ledger = sa.select(sa.func.sum(Gift.amount_fen)).filter_by(campaign_id=campaign.id)
    assert (db.session.scalar(ledger) or 0) == claimed + typed


def list_gifts(campaign: Campaign) -> list[Gift]:
    originals = sa.select(Gift).filter_by(campaign_id=campaign.id, reversal_of_id=None)
    return list(db.session.scalars(originals.order_by(Gift.id)))


def is_reversed(gift: Gift) -> bool:
    return db.session.scalar(sa.select(Gift.id).filter_by(reversal_of_id=gift.id)) is not None


def has_line(gift: Gift) -> bool:
    return db.session.get(LineGift, gift.id) is not None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_two_who_confirm_at_once_the_second_is_told(app: Flask):
    """The second waits for the first; SQLite lets one write at a time anyway."""
    campaign, _units, by = make_world()
    apply_statement(campaign, bank_csv(PAID[:1]))
    db.session.commit()
    line = db.session.scalars(sa.select(StatementLine)).one()
    choice = lines.propose(line)
    told = []

    def run_second() -> None:
        with app.app_context():
            there = db.session.get_one(Campaign, campaign_id)
            person = db.session.get_one(factories.User, by_id)
            told.extend(lines.confirm_lines(there, [choice], by=person).left)
            db.session.commit()

    campaign_id, by_id = campaign.id, by.id
    assert lines.confirm_lines(campaign, [choice], by=by).count == 1
    second = Thread(target=run_second)
    second.start()
    second.join(0.5)
    assert second.is_alive(), "it waits"
    db.session.commit()
    second.join(PATIENCE)
    assert len(told) == 1
    assert db.session.scalar(sa.select(sa.func.count(Gift.id))) == 1
