"""Whose a payment is: what speaks for a unit, what is clear, and that a person confirms it."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.errors import Conflict, NotFound, Refused
from outreach.gifts import lines, payers
from outreach.gifts.groups import reverse_group
from outreach.gifts.importing import apply_gifts, plan_gifts
from outreach.gifts.ledger import check_ledger
from outreach.gifts.matching import Match, Matcher, propose_kind
from outreach.gifts.models import (
    Gift,
    GiftChannel,
    GiftKind,
    LineCandidate,
    LineStatus,
    PayerAlias,
    Source,
    StatementLine,
)
from outreach.gifts.reconciliation import select_without_line
from outreach.gifts.services import reverse_gift
from outreach.gifts.statements import apply_statement
from outreach.gifts.undoing import undo_gifts
from outreach.units.models import ImportBatch, UnitAlias
from outreach.units.naming import name_key
from tests import factories
from tests.factories import make_gift, make_pledge, make_solicitation, make_unit, save
from tests.office import make_csv
from tests.statement_files import Paid, bank_csv, wechat_csv

CODE = "11430400006123456X"
DAY = date(2026, 10, 12)


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    before = factories.make_campaign(code="2025")
    return factories.make_campaign(code="2026", previous_id=before.id)


@pytest.fixture
def education(campaign: Campaign) -> Solicitation:
    """The bureau of education, once called 教委, beside a health commission."""
    sector = factories.make_sector(campaign)
    unit = make_unit(name="衡阳市教育局", short_name="市教育局", credit_code=CODE)
    save(UnitAlias(unit_id=unit.id, name="衡阳市教委", name_key=name_key("衡阳市教委")))
    make_solicitation(campaign, sector, unit=make_unit(name="衡阳市卫健委", short_name=""))
    make_solicitation(campaign, sector, unit=make_unit(name="南华大学", short_name=""))
    return make_solicitation(campaign, sector, unit=unit)


@pytest.fixture
def health(education: Solicitation) -> Solicitation:
    rows = sa.select(Solicitation).filter_by(campaign_id=education.campaign_id)
    return next(row for row in db.session.scalars(rows) if row.unit.name == "衡阳市卫健委")


def match(campaign: Campaign, paid: Paid) -> Match:
    """What is proposed for the payment, in a statement that nobody keeps."""
    apply_statement(campaign, bank_csv([paid]))
    line = db.session.scalars(sa.select(StatementLine).order_by(StatementLine.id.desc())).first()
    found = Matcher(campaign).match(line)
    db.session.rollback()
    return found


def take_in(campaign: Campaign, *payments: Paid) -> list[StatementLine]:
    apply_statement(campaign, bank_csv(payments))
    db.session.commit()
    return list(db.session.scalars(sa.select(StatementLine).order_by(StatementLine.id)))


def choice_of(line: StatementLine) -> lines.Choice:
    choice = lines.propose(line)
    assert choice is not None
    return choice


def gifts() -> list[int]:
    return list(db.session.scalars(sa.select(Gift.amount_fen).order_by(Gift.id)))


def broken(campaign: Campaign) -> list[str]:
    db.session.expire_all()
    return [str(row.name) for row in check_ledger(campaign) if not row.holds]


class TestEvidence:
    @pytest.mark.parametrize(
        ("paid", "because", "is_clear"),
        [
            (Paid(payer="衡阳市教育局"), "付款人就是“衡阳市教育局”", True),
            (Paid(payer=" 衡阳市 教育局（工会）"), "付款人名称里有“衡阳市教育局”", False),
            (Paid(payer="市教育局"), "付款人就是“市教育局”", True),
            (Paid(payer="衡阳市教委"), "付款人就是“衡阳市教委”", True),
            (Paid(payer="张三", remark=f"捐款 {CODE}"), "附言里有它的信用代码", True),
            (Paid(payer="张三", remark="衡阳市教育局一日捐"), "附言里写着“衡阳市教育局”", False),
            (Paid(payer="衡阳市教育委员局"), "付款人与“衡阳市教育局”相近", False),
            (Paid("70.00", payer="张三"), "认捐金额与这一笔相同", False),
            (Paid("60.00", payer="张三"), "上年捐款金额与这一笔相同", False),
        ],
        ids=lambda value: value.payer + value.remark if isinstance(value, Paid) else None,
    )
    def test_it_is_told_in_words(self, campaign, education, paid, because, is_clear):
        make_pledge(education, 7_000)
        before = make_solicitation(campaign.previous, unit=education.unit)
        make_gift(before, 6_000, received_on=date(2025, 10, 1))
        found = match(campaign, paid)
        reasons = save_reasons(found)
        assert found.solicitation_id == education.id
        assert reasons.startswith(because)
        assert found.is_clear is is_clear

    def test_an_expected_amount_makes_a_name_in_the_text_clear(self, campaign, education):
        paid = Paid("70.00", payer="张三", remark="衡阳市教育局一日捐")
        assert not match(campaign, paid).is_clear
        make_pledge(education, 7_000)
        assert match(campaign, paid).is_clear

    def test_what_says_two_things_is_not_clear(self, campaign, education, health):
        found = match(campaign, Paid(payer="衡阳市教育局", remark="衡阳市卫健委一日捐"))
        assert [p.solicitation_id for p in found.proposals] == [education.id, health.id]
        assert found.is_clear, "the payer's own name is far ahead of a word in the text"
        save(UnitAlias(unit_id=health.unit_id, name="衡阳市教委", name_key=name_key("衡阳市教委")))
        assert not match(campaign, Paid(payer="衡阳市教委")).is_clear

    @pytest.mark.parametrize(
        "paid",
        [
            Paid(payer="张三", remark="一日捐"),
            Paid(payer="财付通支付科技有限公司", remark=""),
            Paid(payer="", remark="结息"),
            Paid(payer="衡阳", remark="教育"),
        ],
        ids=lambda paid: paid.payer or "nobody",
    )
    def test_nothing_is_made_of_nothing(self, campaign, education, paid):
        assert match(campaign, paid) == Match([])

    def test_a_payment_long_after_the_campaign_or_paid_back_is_not_clear(self, campaign, education):
        assert not match(campaign, Paid(day=date(2026, 8, 31))).is_clear
        apply_statement(campaign, wechat_csv([Paid("5.00", serial="1"), Paid("-1.00", serial="1")]))
        line = db.session.scalars(sa.select(StatementLine)).one()
        line.payer = "衡阳市教育局"
        assert not Matcher(campaign).match(line).is_clear

    def test_units_of_other_campaigns_and_withdrawn_promises_say_nothing(self, campaign, education):
        make_pledge(education, 7_000, withdrawn_at=clock.now())
        assert match(campaign, Paid("70.00", payer="张三")) == Match([])
        assert match(campaign.previous, Paid(payer="衡阳市教育局")) == Match([])

    @pytest.mark.parametrize(
        ("payer", "source", "kind"),
        [
            ("衡阳市教育局", Source.BANK, GiftKind.UNIT),
            ("王小明", Source.BANK, GiftKind.INDIVIDUAL),
            ("市教育局", Source.BANK, GiftKind.UNIT),
            ("", Source.WECHAT, GiftKind.INDIVIDUAL),
            ("", None, GiftKind.UNIT),
        ],
    )
    def test_the_kind_follows_from_who_paid(self, payer, source, kind):
        assert propose_kind(payer, source) is kind


def likely(line: StatementLine) -> list[int]:
    return [gift.id for gift in line.likely_gifts]


def save_reasons(found: Match) -> str:
    return LineCandidate(reasons=found.proposals[0].told).because


class TestRecorded:
    """A gift that somebody recorded already is not made a second time."""

    def test_the_same_number_is_the_same_gift(self, campaign, education):
        gift = make_gift(education, 30_000, reference="S1", received_on=date(2026, 9, 2))
        [line] = take_in(campaign, Paid(payer="出纳", serial="S1"))
        assert (likely(line), line.is_clear) == ([gift.id], True)
        done = lines.confirm_lines(campaign, [choice_of(line)], by=factories.make_user())
        db.session.commit()
        assert (done.count, gifts()) == (1, [30_000])
        assert db.session.scalars(select_without_line(campaign)).all() == []
        assert broken(campaign) == []

    def test_one_without_number_is_taken_by_unit_day_and_amount(self, campaign, education):
        gift = make_gift(education, 30_000, received_on=DAY + timedelta(days=2))
        one, other = take_in(campaign, Paid(serial="S1"), Paid(serial="S2"))
        assert (likely(one), one.is_clear) == ([gift.id], True)
        assert (likely(other), other.is_clear) == ([], True)
        assert "账上已有同日前后、同额的一笔" in one.candidates[0].because

    def test_one_with_another_number_is_for_a_person_to_see(self, campaign, education):
        make_gift(education, 30_000, received_on=DAY, reference="收据 7")
        [line] = take_in(campaign, Paid(serial="S1"))
        assert likely(line)
        assert not line.is_clear

    def test_the_number_goes_before_likeness_and_each_gift_answers_once(self, campaign, education):
        gift = make_gift(education, 30_000, received_on=DAY, reference="S2")
        one, two = take_in(campaign, Paid(serial="S1"), Paid(serial="S2"))
        assert (likely(one), likely(two)) == ([], [gift.id])
        for line in (two, one):
            choice = choice_of(line)
            assert lines.confirm_lines(campaign, [choice], by=factories.make_user()).count == 1
        assert gifts() == [30_000, 30_000]

    def test_the_same_number_with_another_amount_is_told(self, campaign, education):
        make_gift(education, 29_900, received_on=DAY, reference="S1")
        [line] = take_in(campaign, Paid(serial="S1"))
        assert (likely(line), line.is_clear) == ([], False)
        assert "流水号与账上的一笔相同，但金额不同" in line.candidates[0].because

    def test_a_gift_without_unit_can_be_the_one(self, campaign, education):
        gift = make_gift(education, 30_000, unit_id=None, reference="S1")
        [line] = take_in(campaign, Paid(payer="张三", serial="S1"))
        assert (likely(line), list(line.candidates)) == ([gift.id], [])

    def test_what_does_not_fit_is_refused(self, campaign, education):
        gift = make_gift(education, 30_000)
        small = make_gift(education, 1)
        one, other = take_in(campaign, Paid(serial="1"), Paid(serial="2"))
        by = factories.make_user()
        with pytest.raises(Refused):
            lines.link_line(one, [small], by=by)
        lines.link_line(one, [gift], by=by)
        with pytest.raises(Conflict):
            lines.link_line(other, [gift], by=by)
        reverse_gift(small, reason="退回", by=None)
        with pytest.raises(Conflict):
            lines.link_line(other, [small], by=by)


class TestConfirm:
    def test_what_is_clear_becomes_gifts_when_a_person_says_so(self, campaign, education, health):
        kept = take_in(
            campaign,
            Paid(serial="1"),
            Paid("5.00", "衡阳市卫健委", serial="2"),
            Paid("6.00", "张三", serial="3"),
        )
        assert gifts() == []
        assert [line.is_clear for line in kept] == [True, True, False]
        choices = [choice_of(line) for line in kept[:2]]
        done = lines.confirm_lines(campaign, choices, by=factories.make_user())
        db.session.commit()
        assert (done.count, done.amount_fen, done.left) == (2, 30_500, [])
        assert gifts() == [30_000, 500]
        gift = db.session.scalars(sa.select(Gift)).first()
        assert (gift.reference, gift.channel) == ("1", GiftChannel.TRANSFER)
        assert db.session.scalar(sa.select(sa.func.count()).select_from(LineCandidate)) == 0
        assert broken(campaign) == []

    def test_what_has_changed_since_is_left_and_proposed_anew(self, campaign, education, health):
        one, other = take_in(campaign, Paid(serial="1"), Paid("5.00", serial="2"))
        choices = [choice_of(one), choice_of(other)]
        gift = make_gift(education, 30_000, received_on=DAY)
        wrong = replace(choices[1], solicitation_id=health.id)
        done = lines.confirm_lines(campaign, [choices[0], wrong], by=factories.make_user())
        db.session.commit()
        assert (done.count, [line.id for line, _why in done.left]) == (0, [one.id, other.id])
        assert gifts() == [30_000]
        assert likely(one) == [gift.id]

    def test_somebody_was_first(self, campaign, education):
        [line] = take_in(campaign, Paid(serial="1"))
        choice = choice_of(line)
        lines.set_line_aside(line, reason="会费", by=factories.make_user())
        done = lines.confirm_lines(campaign, [choice], by=factories.make_user())
        assert (done.count, len(done.left)) == (0, 1)
        assert gifts() == []

    def test_a_part_that_went_back_is_no_gift(self, campaign, education):
        paid = [Paid("50.00", serial="1"), Paid("-20.00", serial="1")]
        apply_statement(
            campaign, wechat_csv([*paid, Paid("9.00", serial="2"), Paid("-9.00", serial="2")])
        )
        part, whole = db.session.scalars(sa.select(StatementLine).order_by(StatementLine.id))
        by = factories.make_user()
        gift = lines.claim_line(part, education, kind=GiftKind.INDIVIDUAL, by=by)
        assert (gift.amount_fen, gift.channel) == (3_000, GiftChannel.PLATFORM)
        with pytest.raises(Refused):
            lines.claim_line(whole, education, kind=GiftKind.INDIVIDUAL, by=by)
        db.session.commit()
        assert broken(campaign) == []

    def test_a_refund_after_the_claim_shows_in_the_ledger(self, campaign, education):
        apply_statement(campaign, wechat_csv([Paid("50.00", serial="1")]))
        line = db.session.scalars(sa.select(StatementLine)).one()
        by = factories.make_user()
        lines.claim_line(line, education, kind=GiftKind.INDIVIDUAL, by=by)
        plan = apply_statement(campaign, wechat_csv([Paid("-50.00", serial="1")]))
        assert "已经认领为捐款" in " ".join(str(told.message) for told in plan.warnings)
        db.session.commit()
        assert broken(campaign) == ["已认领的流水（减去退款）= 对应的到账"]
        lines.reopen_line(line, reason="退款", by=by)
        lines.set_line_aside(line, reason="退款", by=by)
        db.session.commit()
        assert broken(campaign) == []


class TestPayers:
    def test_a_payer_is_learned_and_known_the_next_time(self, campaign, education):
        one, two = take_in(campaign, Paid(payer="国库支付中心", serial="1"), Paid(serial="2"))
        by = factories.make_user()
        lines.claim_line(one, education, kind=GiftKind.UNIT, by=by)
        assert payers.learn_payer(one, education, by=by)
        assert not payers.learn_payer(one, education, by=by), "it is known now"
        assert not payers.learn_payer(two, education, by=by), "the name says so already"
        db.session.commit()
        found = match(campaign, Paid(payer="国库支付 中心", serial="3"))
        assert (found.solicitation_id, found.is_clear) == (education.id, True)
        assert save_reasons(found) == "“国库支付 中心”曾替它付款"

    def test_who_pays_for_two_units_is_ambiguous(self, campaign, education, health):
        payments = [Paid(payer="国库支付中心", serial=str(number)) for number in (1, 2, 3)]
        one, two, three = take_in(campaign, *payments)
        by = factories.make_user()
        for line, solicitation in ((one, education), (two, health)):
            lines.claim_line(line, solicitation, kind=GiftKind.UNIT, by=by)
            payers.learn_payer(line, solicitation, by=by)
        db.session.commit()
        assert {row.solicitation_id for row in three.candidates} == {education.id, health.id}
        assert not three.is_clear, "the line that is open has learned it too"

    def test_it_can_be_forgotten(self, campaign, education):
        one, two = take_in(campaign, Paid(payer="代办", serial="1"), Paid(payer="代办", serial="2"))
        by = factories.make_user()
        lines.claim_line(one, education, kind=GiftKind.UNIT, by=by)
        payers.learn_payer(one, education, by=by)
        assert two.is_clear
        alias = db.session.scalars(sa.select(PayerAlias)).one()
        payers.forget_payer(campaign, alias.id)
        assert not two.is_clear
        with pytest.raises(NotFound):
            payers.forget_payer(campaign, alias.id)


class TestUndo:
    def test_a_wrong_claim_is_reversed_and_open_again(self, campaign, education, health):
        [line] = take_in(campaign, Paid(payer="代办", serial="1"))
        by = factories.make_user()
        for solicitation in (education, health, education):
            lines.claim_line(line, solicitation, kind=GiftKind.UNIT, by=by)
            payers.learn_payer(line, solicitation, by=by)
            lines.reopen_line(line, reason="认错了", by=by)
            db.session.commit()
        assert (line.status, line.gifts, line.is_clear) == (LineStatus.OPEN, [], False)
        assert gifts() == [30_000, -30_000] * 3
        assert db.session.scalars(sa.select(PayerAlias)).all() == [], "what it taught was wrong"
        with pytest.raises(Conflict):
            lines.reopen_line(line, reason="再来", by=by)
        assert broken(campaign) == []

    def test_a_gift_that_was_there_before_stays(self, campaign, education):
        gift = make_gift(education, 30_000, received_on=DAY)
        [line] = take_in(campaign, Paid(serial="1"))
        by = factories.make_user()
        lines.link_line(line, [gift], by=by)
        lines.reopen_line(line, reason="不是这一笔", by=by)
        db.session.commit()
        assert gifts() == [30_000]
        assert likely(line) == [gift.id]

    def test_a_line_whose_gift_is_reversed_is_open_again(self, campaign, education, sign_in):
        client = sign_in(Role.STAFF)
        [line] = take_in(campaign, Paid(serial="1"))
        gift = lines.claim_line(line, education, kind=GiftKind.UNIT, by=factories.make_user())
        db.session.commit()
        client.post(f"/c/2026/gifts/{gift.id}/reverse", data={"reason": "重复"})
        assert [row.solicitation_id for row in line.candidates] == [education.id]
        assert broken(campaign) == []

    def test_so_is_one_whose_gift_goes_with_its_group(self, campaign, education):
        group = factories.make_group(education, 30_000, 5)
        [line] = take_in(campaign, Paid(serial="1"))
        by = factories.make_user()
        lines.link_line(line, [group.parts[0]], by=by)
        reverse_group(group, reason="退回", by=by)
        db.session.commit()
        assert (line.status, line.gifts, line.is_clear) == (LineStatus.OPEN, [], True)
        assert broken(campaign) == []

    def test_so_is_one_whose_gift_goes_with_its_import(self, campaign, education):
        list_of_gifts = make_csv([["单位名称", "金额", "到账日期"], ["衡阳市教育局", 300, DAY]])
        apply_gifts(campaign, list_of_gifts)
        [line] = take_in(campaign, Paid(serial="1"))
        by = factories.make_user()
        assert lines.confirm_lines(campaign, [choice_of(line)], by=by).count == 1
        db.session.commit()
        assert line.status is LineStatus.CLAIMED
        undo_gifts(db.session.scalars(sa.select(ImportBatch)).one(), by)
        db.session.commit()
        assert (line.status, likely(line), line.is_clear) == (LineStatus.OPEN, [], True)
        assert broken(campaign) == []


def test_a_list_of_gifts_opens_no_line_that_a_statement_shows(campaign, education):
    take_in(campaign, Paid(payer="教育局工会", serial="1"))
    header = ["单位名称", "金额", "到账日期", "流水号"]
    rows = [["教育局工会", "300", "2026-10-12", ""], ["另一单位", "300", "2026-10-12", "2"]]
    plan = plan_gifts(campaign, make_csv([header, *rows]))
    assert lines.open_unmatched(campaign, plan.unmatched) == 1
    assert lines.open_unmatched(campaign, plan.unmatched) == 0
