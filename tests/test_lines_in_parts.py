"""A payment on a statement that is several gifts: claimed in parts, or held against parts that were
entered before."""

from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from outreach.access import Role
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.gifts import groups, lines
from outreach.gifts.groups import Part, Payment, Tally
from outreach.gifts.ledger import check_ledger
from outreach.gifts.matching import match_lines
from outreach.gifts.models import (
    Gift,
    GiftBasis,
    GiftChannel,
    GiftKind,
    LineStatus,
    StatementLine,
)
from outreach.gifts.reconciliation import select_without_line
from outreach.gifts.services import reverse_gift
from outreach.gifts.statements import apply_statement
from tests import factories
from tests.conftest import SignIn
from tests.statement_files import Paid, bank_csv

DAY = date(2026, 10, 12)


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    return factories.make_campaign()


@pytest.fixture
def education(campaign: Campaign) -> Solicitation:
    return factories.make_solicitation(campaign, unit=factories.make_unit(name="衡阳市教育局"))


def take_in(campaign: Campaign, *paid: Paid) -> list[StatementLine]:
    apply_statement(campaign, bank_csv(paid))
    db.session.commit()
    return list(db.session.scalars(sa.select(StatementLine).order_by(StatementLine.id)))


def parts_of(solicitation: Solicitation, own_fen: int, people_fen: int) -> list[Part]:
    return [
        Part(own_fen, GiftKind.UNIT, unit=solicitation.unit),
        Part(people_fen, GiftKind.INDIVIDUAL, unit=solicitation.unit, donor_count=12),
    ]


def enter(solicitation: Solicitation, reference: str = "", day: date = DAY) -> list[Gift]:
    """A payment of 300 yuan that was entered in two parts."""
    group = groups.record_remittance(
        solicitation.campaign,
        parts_of(solicitation, 20_000, 10_000),
        Payment(day, GiftChannel.TRANSFER, reference=reference),
        key=f"form{reference}{day}",
        total_fen=30_000,
        by=None,
    )
    db.session.commit()
    return group.parts if group else []


def amounts() -> list[int]:
    return list(db.session.scalars(sa.select(Gift.amount_fen).order_by(Gift.id)))


def broken(campaign: Campaign) -> list[str]:
    return [str(row.name) for row in check_ledger(campaign) if not row.holds]


class TestClaimInParts:
    def test_the_line_is_the_gifts_and_each_says_what_the_bank_said(self, campaign, education):
        [line] = take_in(campaign, Paid(serial="S1", day=DAY))
        by = factories.make_user()
        group = groups.claim_line(line, parts_of(education, 20_000, 10_000), key="form", by=by)
        db.session.commit()
        assert (line.status, line.gifts) == (LineStatus.CLAIMED, group.parts)
        assert {(gift.reference, gift.received_on) for gift in line.gifts} == {("S1", DAY)}
        assert groups.find_line(group) == line
        assert db.session.scalars(select_without_line(campaign)).all() == []
        assert (
            groups.claim_line(line, parts_of(education, 20_000, 10_000), key="form", by=by) is None
        )
        assert (amounts(), broken(campaign)) == ([20_000, 10_000], [])

    def test_parts_that_do_not_make_it_up_and_a_settled_line_are_refused(self, campaign, education):
        [line] = take_in(campaign, Paid(serial="S1"))
        by = factories.make_user()
        with pytest.raises(Refused), db.session.begin_nested():
            groups.claim_line(line, parts_of(education, 20_000, 10_001), key="1", by=by)
        lines.claim_line(line, education, kind=GiftKind.UNIT, by=by)
        with pytest.raises(Conflict), db.session.begin_nested():
            groups.claim_line(line, parts_of(education, 20_000, 10_000), key="2", by=by)
        assert amounts() == [30_000]

    def test_no_part_goes_alone_and_all_go_with_the_claim(self, campaign, education):
        [line] = take_in(campaign, Paid(serial="S1"))
        by = factories.make_user()
        group = groups.claim_line(line, parts_of(education, 20_000, 10_000), key="1", by=by)
        with pytest.raises(Refused, match="撤销认领"):
            reverse_gift(group.parts[0], reason="多记", by=by)
        lines.reopen_line(line, reason="分错了", by=by)
        db.session.commit()
        assert amounts() == [20_000, 10_000, -20_000, -10_000]
        assert (line.status, line.likely_gifts, line.is_clear) == (LineStatus.OPEN, [], True)
        groups.claim_line(line, parts_of(education, 10_000, 20_000), key="2", by=by)
        assert broken(campaign) == []

    def test_the_whole_group_may_be_reversed_and_opens_the_line(self, campaign, education):
        [line] = take_in(campaign, Paid(serial="S1"))
        by = factories.make_user()
        group = groups.claim_line(line, parts_of(education, 20_000, 10_000), key="1", by=by)
        groups.reverse_group(group, reason="退回", by=by)
        db.session.commit()
        assert (line.status, line.likely_gifts, sum(amounts())) == (LineStatus.OPEN, [], 0)
        assert broken(campaign) == []


class TestEnteredBefore:
    def test_gifts_under_the_number_that_make_it_up_are_the_ones(self, campaign, education):
        entered = enter(education, reference="S1", day=date(2026, 9, 1))
        [line] = take_in(campaign, Paid(payer="出纳", serial="S1", day=DAY))
        assert (line.likely_gifts, line.is_clear) == (entered, True)
        choice = lines.Choice.parse(lines.propose(line).value)
        assert lines.confirm_lines(campaign, [choice], by=factories.make_user()).count == 1
        db.session.commit()
        assert (line.gifts, amounts()) == (entered, [20_000, 10_000])
        assert broken(campaign) == []

    def test_of_the_payer_about_that_day_they_are_the_ones(self, campaign, education):
        entered = enter(education)
        one, other = take_in(campaign, Paid(serial="S1", day=DAY), Paid(serial="S2", day=DAY))
        assert (one.likely_gifts, one.is_clear) == (entered, True)
        assert (other.likely_gifts, other.is_clear) == ([], True), "each answers once"

    def test_counted_money_that_was_taken_to_the_bank_is_for_a_person_to_see(
        self, campaign, education
    ):
        group = groups.record_count(
            campaign,
            parts_of(education, 20_000, 10_000),
            Payment(DAY, GiftChannel.CASH),
            key="count",
            stated=Tally(2, 30_000),
            by=None,
        )
        cash, other = take_in(
            campaign, Paid(payer="", serial="S1", day=DAY), Paid(payer="张三", serial="S2", day=DAY)
        )
        assert (cash.likely_gifts, cash.is_clear) == (group.parts, False)
        lines.link_line(cash, group.parts, by=factories.make_user())
        assert (cash.status, other.likely_gifts) == (LineStatus.CLAIMED, [])

    def test_one_that_is_reversed_opens_the_line_and_the_other_stays(self, campaign, education):
        [line] = take_in(campaign, Paid(serial="S1"))
        entered = enter(education, reference="S1")
        lines.link_line(line, entered, by=factories.make_user())
        reverse_gift(entered[0], reason="不是它", by=None)
        assert lines.release_gifts(campaign, Gift.id == entered[0].id) == 1
        db.session.commit()
        assert (line.status, sum(amounts())) == (LineStatus.OPEN, 10_000)
        assert broken(campaign) == []

    @pytest.mark.parametrize("number", [{}, {"serial": "S1"}])
    def test_once_one_is_reversed_the_line_is_not_clear(self, campaign, education, number):
        """To confirm it as one gift would count again what the other part counts already."""
        [line] = take_in(campaign, Paid(**number))
        entered = enter(education)
        match_lines(campaign)
        assert (line.is_clear, line.likely_gifts) == (True, entered)
        lines.link_line(line, entered, by=factories.make_user())

        reverse_gift(entered[1], reason="退回个人部分", by=None)
        lines.release_gifts(campaign, Gift.id == entered[1].id)
        match_lines(campaign)

        assert (line.status, line.is_clear) == (LineStatus.OPEN, False)
        assert "可能就是这一笔" in line.candidates[0].because

    def test_a_gift_that_another_line_answers_for_leaves_a_line_clear(self, campaign, education):
        factories.make_gift(education, 50_000, received_on=DAY)
        first, second = take_in(
            campaign,
            Paid(serial="S1"),
            Paid("500.00", serial="S2"),
        )
        match_lines(campaign)
        assert (first.is_clear, second.is_clear) == (True, True)

    @pytest.mark.parametrize(
        "values",
        [
            {"received_on": date(2026, 10, 16)},
            {"basis": GiftBasis.OUTSIDE_ACCOUNT},
            {"reference": "S9"},
        ],
    )
    def test_a_gift_that_is_another_payment_leaves_a_line_clear(self, campaign, education, values):
        factories.make_gift(education, 50_000, **{"received_on": DAY} | values)
        [line] = take_in(campaign, Paid(serial="S1"))
        match_lines(campaign)
        assert line.is_clear

    def test_what_does_not_add_up_is_refused_with_both_figures(self, campaign, education):
        entered = enter(education)
        [line] = take_in(campaign, Paid(serial="S1"))
        with pytest.raises(Refused, match="200 元，流水是 300 元"):
            lines.link_line(line, entered[:1], by=factories.make_user())


def test_the_page_takes_the_parts_and_shows_where_they_come_from(
    education: Solicitation, sign_in: SignIn
):
    client: FlaskClient = sign_in(Role.STAFF)
    base = f"/c/{education.campaign.code}/gifts"
    [line] = take_in(education.campaign, Paid(serial="S1"))
    assert f"lines/{line.id}/parts" in client.get(f"{base}/lines/{line.id}").text
    page = f"{base}/lines/{line.id}/parts"
    assert 'value="衡阳市教育局"' in client.get(page).text
    typed = {"key": "form", "rows-0-unit": "衡阳市教育局", "rows-0-kind": "unit"}
    typed |= {"rows-1-kind": "individual", "rows-0-amount_fen": "200"}
    wrong = client.post(page, data=typed | {"rows-1-amount_fen": "99.99"})
    assert (wrong.status_code, "相差 0.01 元" in wrong.text) == (422, True)
    answer = client.post(page, data=typed | {"rows-1-amount_fen": "100"}, follow_redirects=True)
    assert "已登记 2 笔，共 300 元" in answer.text
    assert f"lines/{line.id}" in answer.text
    assert "分 2 笔" in client.get(f"{base}/lines?show=settled").text
    again = client.post(page, data=typed | {"rows-1-amount_fen": "100"}, follow_redirects=True)
    assert "没有重复登记" in again.text
    assert amounts() == [20_000, 10_000]
