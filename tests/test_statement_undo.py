"""Taking a statement back: what it brought goes and what it changed is as it was, or nothing is."""

from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.errors import Conflict
from outreach.gifts import lines
from outreach.gifts.ledger import check_ledger
from outreach.gifts.models import GiftKind, LineCandidate, LineStatus, Statement, StatementLine
from outreach.gifts.statement_undoing import plan_undo, undo_statement
from outreach.gifts.statements import apply_statement
from tests import factories
from tests.conftest import SignIn
from tests.statement_files import Paid, bank_csv, wechat_csv

DAY = date(2026, 10, 12)


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    return factories.make_campaign()


@pytest.fixture
def education(campaign: Campaign) -> Solicitation:
    return factories.make_solicitation(campaign, unit=factories.make_unit(name="衡阳市教育局"))


def take_in(campaign: Campaign, *paid: Paid, make=bank_csv) -> Statement:
    apply_statement(campaign, make(paid))
    db.session.commit()
    return db.session.scalars(sa.select(Statement).order_by(Statement.id.desc())).first()


def list_lines() -> list[StatementLine]:
    db.session.expire_all()
    return list(db.session.scalars(sa.select(StatementLine).order_by(StatementLine.id)))


def told(statement: Statement) -> list[str]:
    return [str(obstacle.message) for obstacle in plan_undo(statement).obstacles]


def test_its_lines_and_what_was_proposed_for_them_go_and_it_may_come_again(campaign, education):
    statement = take_in(campaign, Paid(serial="1"), Paid("5.00", "张三", serial="2"))
    assert undo_statement(statement).fen == 30_500
    db.session.commit()
    assert list_lines() == []
    assert db.session.scalars(sa.select(LineCandidate)).all() == []
    assert db.session.scalars(sa.select(Statement)).all() == []
    action = sa.select(AuditEvent.action).order_by(AuditEvent.id.desc()).limit(1)
    assert db.session.scalar(action) == "undo.statement"
    take_in(campaign, Paid(serial="1"), Paid("5.00", "张三", serial="2"))
    assert [line.amount_fen for line in list_lines()] == [30_000, 500]


def test_a_line_of_which_somebody_said_something_keeps_it_until_that_is_taken_back(
    campaign, education
):
    statement = take_in(campaign, Paid(serial="1"), Paid(serial="2"))
    [one, two] = list_lines()
    by = factories.make_user()
    lines.claim_line(one, education, kind=GiftKind.UNIT, by=by)
    lines.set_line_aside(two, reason="会费", by=by)
    assert told(statement) == [
        "已处理为“衡阳市教育局”，请先撤销",
        "已处理为“与本活动无关”，请先撤销",
    ]
    with pytest.raises(Conflict):
        undo_statement(statement)
    for line in (one, two):
        lines.reopen_line(line, reason="拿错文件", by=by)
    undo_statement(statement)
    take_in(campaign, Paid(serial="1"), Paid(serial="2"))
    [one, two] = list_lines()
    lines.claim_line(one, education, kind=GiftKind.UNIT, by=by)
    db.session.commit()
    assert [row.name for row in check_ledger(campaign) if not row.holds] == []


def test_a_line_that_was_noted_before_is_as_it_was(campaign, education):
    factories.make_line(
        campaign, payer="衡阳市教育局", amount_fen=30_000, received_on=DAY, note="电话说的"
    )
    before = vars_of(list_lines()[0])
    statement = take_in(campaign, Paid(payer="衡阳市教育局", serial="1", day=DAY))
    assert vars_of(list_lines()[0]) != before
    undo_statement(statement)
    db.session.commit()
    [line] = list_lines()
    assert vars_of(line) == before
    assert [row.solicitation_id for row in line.candidates] == [education.id]


def test_a_refund_goes_with_the_statement_that_brought_it(campaign, education):
    take_in(campaign, Paid("50.00", serial="1"), make=wechat_csv)
    payment = db.session.scalars(sa.select(Statement)).one()
    refund = take_in(campaign, Paid("-20.00", serial="1"), make=wechat_csv)
    assert told(payment) == ["后来导入的这一份里有同样的款项，请先撤销它"]
    [line] = list_lines()
    by = factories.make_user()
    lines.claim_line(line, education, kind=GiftKind.INDIVIDUAL, by=by)
    assert told(refund) == ["已按退款后的金额认领，请先撤销认领"]
    lines.reopen_line(line, reason="退款有误", by=by)
    undo_statement(refund)
    db.session.commit()
    [line] = list_lines()
    assert (line.net_fen, line.refunds, line.status) == (5_000, {}, LineStatus.OPEN)
    assert told(payment) == []


def test_the_later_of_two_that_overlap_goes_first(campaign):
    first = take_in(campaign, Paid(serial="1"))
    second = take_in(campaign, Paid(serial="1"), Paid(serial="2"))
    assert told(first) == ["后来导入的这一份里有同样的款项，请先撤销它"]
    undo_statement(second)
    undo_statement(first)
    db.session.commit()
    assert list_lines() == []


def test_the_page_says_what_goes_and_what_stands_in_the_way(campaign, education, sign_in: SignIn):
    client = sign_in(Role.STAFF)
    statement = take_in(campaign, Paid(serial="1"))
    page = f"/c/{campaign.code}/gifts/statements/{statement.id}/undo"
    shown = client.get(f"/c/{campaign.code}/gifts/lines?show=all&statement={statement.id}").text
    assert page in shown
    [line] = list_lines()
    by = factories.make_user()
    lines.set_line_aside(line, reason="会费", by=by)
    db.session.commit()
    assert "有人处理过" in client.get(page).text
    assert "不能撤销" in client.post(page, follow_redirects=True).text
    lines.reopen_line(list_lines()[0], reason="看错了", by=by)
    db.session.commit()
    assert "都会撤回" in client.get(page).text
    assert "已撤销导入" in client.post(page, follow_redirects=True).text
    assert client.get(page).status_code == 404


def vars_of(line: StatementLine) -> dict[str, object]:
    columns = StatementLine.__table__.columns.keys()
    return {name: getattr(line, name) for name in columns}
