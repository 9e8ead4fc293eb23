from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import clock
from outreach.campaigns.models import Campaign, DeclineReason, Solicitation, Stage, StageCause
from outreach.db import db
from outreach.errors import Refused
from outreach.gifts.gate import check_pledge
from outreach.gifts.models import Gift, GiftKind, Pledge
from outreach.gifts.queries import list_open_pledges
from outreach.gifts.services import record_gift, record_pledge, reverse_gift
from outreach.gifts.standings import find_standing, list_standings, read_figures
from outreach.messages.gate import Candidate
from outreach.messages.models import Channel, Purpose
from tests import factories

YESTERDAY = date(2026, 10, 19)


def give(campaign: Campaign, amount_fen: int = 100, **values: object) -> Gift:
    defaults = {"kind": GiftKind.UNIT, "received_on": YESTERDAY}
    return record_gift(**{"campaign": campaign, "amount_fen": amount_fen} | defaults | values)


@pytest.fixture
def solicitation(app: Flask) -> Solicitation:
    return factories.make_solicitation()


def test_a_units_gift_is_stamped_with_its_sector_and_counts_as_contact(solicitation):
    person = factories.make_user()
    gift = give(solicitation.campaign, 50_00, unit=solicitation.unit, by=person)
    db.session.commit()
    assert (gift.sector, gift.unit, gift.recorded_by) == (
        solicitation.sector,
        solicitation.unit,
        person,
    )
    assert solicitation.last_contact_on == YESTERDAY
    assert solicitation.stage is Stage.NOT_CONTACTED, "money moves no typed stage"


def test_a_gift_may_belong_to_a_sector_only_or_to_nothing(solicitation):
    campaign = solicitation.campaign
    assert give(campaign, sector=solicitation.sector).unit_id is None
    assert give(campaign).sector_id is None


def test_a_gift_that_does_not_fit_is_refused(solicitation):
    campaign = solicitation.campaign
    elsewhere = factories.make_solicitation()
    for values in (
        {"amount_fen": 0},
        {"amount_fen": -1},
        {"received_on": date(2026, 10, 21)},
        {"unit": elsewhere.unit},
        {"sector": elsewhere.sector},
        {"unit": solicitation.unit, "sector": factories.make_sector(campaign)},
    ):
        with pytest.raises(Refused):
            give(campaign, **values)
    assert db.session.scalar(sa.select(sa.func.count(Gift.id))) == 0


def test_a_gift_is_never_edited_or_deleted(solicitation):
    gift = factories.make_gift(solicitation)
    gift.amount_fen = 1
    with pytest.raises(RuntimeError):
        db.session.commit()
    db.session.rollback()
    db.session.delete(gift)
    with pytest.raises(RuntimeError):
        db.session.commit()


def test_a_reversal_is_a_second_gift_dated_today_with_the_reason(solicitation):
    person = factories.make_user()
    gift = give(
        solicitation.campaign,
        unit=solicitation.unit,
        kind=GiftKind.INDIVIDUAL,
        donor_count=12,
        reference="0088",
    )
    reversal = reverse_gift(gift, reason="付款方退回", by=person)
    db.session.commit()
    assert (gift.amount_fen, reversal.amount_fen) == (100, -100)
    assert reversal.reversal_of_id == gift.id
    assert (reversal.unit, reversal.sector) == (gift.unit, gift.sector)
    assert (reversal.kind, reversal.donor_count, reversal.reference) == (gift.kind, 12, "0088")
    assert (reversal.note, reversal.recorded_by) == ("付款方退回", person)
    assert (gift.received_on, reversal.received_on) == (YESTERDAY, clock.today())


def test_a_gift_is_reversed_once_with_a_reason_and_a_reversal_never(solicitation):
    gift = factories.make_gift(solicitation)
    with pytest.raises(Refused):
        reverse_gift(gift, reason="", by=None)
    reversal = reverse_gift(gift, reason="误记", by=None)
    for row in (gift, reversal):
        with pytest.raises(Refused):
            reverse_gift(row, reason="再来一次", by=None)


def test_a_new_pledge_withdraws_the_one_before_and_moves_the_stage(solicitation):
    first = record_pledge(solicitation, amount_fen=100, due_on=date(2026, 11, 1))
    second = record_pledge(solicitation, amount_fen=300, due_on=date(2026, 11, 9), note="局务会定")
    db.session.commit()
    assert list_open_pledges(solicitation) == [second]
    assert first.withdrawn_at is not None
    assert solicitation.stage is Stage.PLEDGED
    assert [change.cause for change in solicitation.changes] == [StageCause.PLEDGE]
    assert solicitation.last_contact_on == clock.today()
    with pytest.raises(Refused):
        record_pledge(solicitation, amount_fen=0, due_on=date(2026, 11, 1))


def test_a_unit_that_declined_is_taken_up_again_by_its_pledge(app: Flask):
    solicitation = factories.make_solicitation(
        stage=Stage.DECLINED, decline_reason=DeclineReason.NO_DECISION
    )
    record_pledge(solicitation, amount_fen=100, due_on=date(2026, 11, 1))
    db.session.commit()
    assert (solicitation.stage, solicitation.decline_reason) == (Stage.PLEDGED, None)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["unit", "sector", "unallocated", "reverse", "pledge"]),
        st.integers(0, 11),
        st.integers(1, 10**13),
        st.sampled_from(GiftKind),
    ),
    max_size=25,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(operations=OPERATIONS)
def test_no_fen_is_lost_or_made(app: Flask, operations):
    previous = factories.make_campaign()
    campaign = factories.make_campaign(previous_id=previous.id)
    sectors = [factories.make_sector(campaign) for _ in range(2)]
    units = [factories.make_solicitation(campaign, sectors[number % 2]) for number in range(3)]
    gifts: list[Gift] = []
    expected: list[int] = []
    for operation, choice, amount, kind in operations:
        if operation == "pledge":
            record_pledge(units[choice % 3], amount_fen=amount, due_on=date(2026, 11, 1))
        elif operation == "reverse" and gifts:
            gift = gifts.pop(choice % len(gifts))
            reverse_gift(gift, reason="误记", by=None)
            expected.remove(gift.amount_fen)
        elif operation != "reverse":
            target = {
                "unit": {"unit": units[choice % 3].unit},
                "sector": {"sector": sectors[choice % 2]},
                "unallocated": {},
            }[operation]
            day = YESTERDAY - timedelta(days=choice)
            gifts.append(give(campaign, amount, kind=kind, received_on=day, **target))
            expected.append(amount)
    db.session.commit()
    figures = read_figures(campaign)
    whole = figures.campaign
    assert whole.total_fen == sum(expected)
    assert whole.allocated_fen == sum(row.amount_fen for row in figures.sectors)
    assert whole.total_fen == whole.allocated_fen + whole.unallocated_fen
    assert whole.individual_fen == sum(
        gift.amount_fen for gift in gifts if gift.kind is GiftKind.INDIVIDUAL
    )
    standings = list_standings(campaign)
    assert sum(row.given_fen for row in standings) == sum(
        gift.amount_fen for gift in gifts if gift.unit_id
    )
    assert sum(row.is_outstanding for row in standings) == whole.outstanding_count
    assert sum(row.has_given for row in standings) == whole.given_count
    assert len(standings) == whole.unit_count == sum(row.unit_count for row in figures.sectors)
    directions = [row.direction for row in figures.sectors]
    assert sum(map(directions.count, ("risen", "fallen", "unchanged"))) == len(sectors)
    open_pledges = sa.select(sa.func.count(Pledge.id)).where(Pledge.withdrawn_at.is_(None))
    assert db.session.scalar(
        open_pledges.group_by(Pledge.solicitation_id).order_by(sa.desc(sa.func.count())).limit(1)
    ) in (None, 1)


class TestInstalments:
    """A pledge in parts: gifts count against them in order."""

    @pytest.fixture
    def pledged(self, app: Flask) -> Solicitation:
        row = factories.make_solicitation()
        parts = {date(2026, 10, 10): 100, date(2026, 11, 20): 200, date(2026, 12, 1): 300}
        record_pledge(row, amount_fen=600, due_on=date(2026, 12, 1), instalments=parts)
        db.session.commit()
        return row

    @pytest.mark.parametrize(
        ("given", "due_on"),
        [
            (0, date(2026, 10, 10)),
            (99, date(2026, 10, 10)),
            (100, date(2026, 11, 20)),
            (300, date(2026, 12, 1)),
            (600, None),
        ],
    )
    def test_what_is_due_next_follows_from_what_was_given(
        self, pledged: Solicitation, given: int, due_on: date | None
    ):
        if given:
            factories.make_gift(pledged, given)
        assert find_standing(pledged).pledge_due_on == due_on

    def test_who_is_behind_is_asked_and_who_has_kept_up_is_not(self, pledged: Solicitation):
        def ask():
            candidate = Candidate(
                1, Purpose.REMINDER, Channel.EMAIL, "hash", solicitation_ids=(pledged.id,)
            )
            return check_pledge([candidate], clock.now())

        assert ask() == {}, "the first part is overdue"
        factories.make_gift(pledged, 100, received_on=date(2026, 10, 1))
        [withheld] = ask().values()
        assert withheld.facts["due_on"] == "2026-11-20"

    def test_parts_have_to_add_up_to_the_pledge(self, pledged: Solicitation):
        parts = {date(2026, 11, 1): 100, date(2026, 12, 1): 199}
        with pytest.raises(Refused, match=r"各期合计 2\.99 元，认捐金额 3 元，相差 0\.01 元"):
            record_pledge(pledged, amount_fen=300, due_on=date(2026, 12, 1), instalments=parts)
