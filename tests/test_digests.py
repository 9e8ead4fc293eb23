"""The weekly digest: what it says, that it is built once, and who reads it."""

import re
from datetime import date, time, timedelta

import pytest
import sqlalchemy as sa

from outreach import clock, money
from outreach.access import Role
from outreach.campaigns.models import Campaign, CampaignStatus, SectorLineage, Stage
from outreach.db import db
from outreach.digests.figures import DecisionKind, Direction, Figures
from outreach.digests.models import Digest
from outreach.digests.rendering import render_mail
from outreach.digests.services import build_digest
from outreach.jobs import JobResult, last_runs
from outreach.messages import delivery, services
from outreach.messages.models import (
    FailureKind,
    Message,
    MessageStatus,
    Purpose,
    Wave,
    WaveStatus,
)
from outreach.visits.models import Visit, VisitOutcome, VisitStatus
from tasks.digests import build_digests
from tests import factories, fake_channel
from tests.copies import Copy

TUESDAY = date(2026, 10, 20)
MONDAY = date(2026, 10, 19)
LAST_MONDAY, LAST_SUNDAY = date(2026, 10, 12), date(2026, 10, 18)
WAN = money.FEN_PER_WAN_YUAN


@pytest.fixture
def campaign(app) -> Campaign:
    return factories.make_campaign(code="2026", starts_on=date(2026, 9, 1))


def build(campaign: Campaign, day: date = TUESDAY) -> Figures:
    digest = build_digest(campaign, day)
    assert digest is not None
    db.session.commit()
    return Figures.model_validate(digest.figures)


def digest_mails() -> list[Message]:
    return list(
        db.session.scalars(
            sa.select(Message).filter_by(purpose=Purpose.DIGEST).order_by(Message.address)
        )
    )


def test_a_digest_belongs_to_the_iso_week_in_shanghai_and_reports_on_the_week_before(campaign):
    figures = build(campaign)

    digest = db.session.scalars(sa.select(Digest)).one()
    assert (digest.iso_year, digest.iso_week) == (2026, 43)
    assert digest.number == 7
    assert (figures.first, figures.last) == (LAST_MONDAY, LAST_SUNDAY)


def test_a_week_gets_one_digest_on_whatever_day_it_is_built(campaign):
    assert build_digest(campaign, MONDAY) is not None
    assert build_digest(campaign, MONDAY) is None
    assert build_digest(campaign, MONDAY + timedelta(days=6)) is None
    assert build_digest(campaign, MONDAY + timedelta(days=7)) is not None


def test_the_first_week_of_january_belongs_to_the_iso_year_that_it_lies_in(app):
    campaign = factories.make_campaign(starts_on=date(2026, 9, 1), ends_on=date(2027, 1, 31))

    assert build_digest(campaign, date(2027, 1, 1)).iso_year == 2026
    assert build_digest(campaign, date(2027, 1, 4)).iso_year == 2027


def test_there_is_no_digest_until_a_week_of_the_campaign_is_over(campaign):
    assert build_digest(campaign, date(2026, 9, 6)) is None

    assert build_digest(campaign, date(2026, 9, 7)).number == 1


def test_the_parts_add_up_to_the_total(campaign):
    first, second = (factories.make_solicitation(campaign) for _ in range(2))
    factories.make_gift(first, 3 * WAN, received_on=date(2026, 9, 20))
    factories.make_gift(first, 2 * WAN, received_on=LAST_MONDAY)
    factories.make_gift(second, 1 * WAN, received_on=LAST_SUNDAY)
    factories.make_gift(second, 5 * WAN, received_on=MONDAY)
    factories.make_gift(
        first, 7 * WAN, received_on=LAST_SUNDAY, unit_id=None, sector_id=None
    )  # unallocated

    figures = build(campaign)

    assert figures.total_fen == 18 * WAN
    assert (figures.opening_fen, figures.week_fen, figures.other_fen) == (
        3 * WAN,
        10 * WAN,
        5 * WAN,
    )
    assert figures.allocated_fen == sum(sector.amount_fen for sector in figures.sectors) == 11 * WAN
    assert figures.unallocated_fen == 7 * WAN
    assert figures.allocated_fen + figures.unallocated_fen == figures.total_fen


def test_what_was_entered_late_shows_beside_the_week_in_the_next_digest(campaign, tuesday_morning):
    solicitation = factories.make_solicitation(campaign)
    factories.make_gift(solicitation, 3 * WAN, received_on=LAST_SUNDAY)
    build(campaign)
    factories.make_gift(solicitation, 2 * WAN, received_on=LAST_SUNDAY)  # entered too late
    factories.make_gift(solicitation, 1 * WAN, received_on=MONDAY)

    tuesday_morning.shift(timedelta(days=7))
    figures = build(campaign, clock.today())

    assert (figures.opening_fen, figures.week_fen, figures.other_fen) == (3 * WAN, 1 * WAN, 2 * WAN)
    assert figures.total_fen == 6 * WAN


def test_units_add_up_too(campaign):
    given, _open, declined, exempt = (factories.make_solicitation(campaign) for _ in range(4))
    factories.make_gift(given, received_on=LAST_MONDAY)
    declined.stage, declined.decline_reason = Stage.DECLINED, "other"
    exempt.is_exempt = True
    db.session.commit()

    figures = build(campaign)

    assert (figures.unit_count, figures.given_count) == (4, 1)
    assert (figures.outstanding_count, figures.not_asked_count) == (1, 2)
    assert figures.outstanding_count == sum(row.outstanding_count for row in figures.sectors)


def test_risen_fallen_and_unchanged_sectors_are_all_sectors(app):
    before = factories.make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    campaign = factories.make_campaign(starts_on=date(2026, 9, 1), previous_id=before.id)
    for last_year, this_year in ((2, 3), (2, 1), (2, 2), (0, 0)):
        old = factories.make_solicitation(before)
        new = factories.make_solicitation(campaign)
        factories.save(SectorLineage(sector_id=new.sector_id, predecessor_id=old.sector_id))
        if last_year:
            factories.make_gift(old, last_year * WAN, received_on=date(2025, 9, 3))
        if this_year:
            factories.make_gift(new, this_year * WAN, received_on=date(2026, 9, 3))

    figures = build(campaign)

    counts = [len(figures.going(direction)) for direction in Direction]
    assert counts == [1, 1, 2]
    assert sum(counts) == len(figures.sectors)
    assert figures.change_fen == sum(sector.change_fen for sector in figures.sectors) == 0


def test_a_unit_is_newly_given_in_the_week_in_which_it_reached_what_it_gives(campaign):
    long_ago, now, on_monday, partly, completed, reversed_ = (
        factories.make_solicitation(campaign) for _ in range(6)
    )
    factories.make_gift(long_ago, received_on=date(2026, 9, 20))
    factories.make_gift(long_ago, received_on=LAST_MONDAY)
    factories.make_gift(now, 5 * WAN, received_on=LAST_SUNDAY)
    factories.make_gift(on_monday, received_on=MONDAY)
    for solicitation in (partly, completed):
        factories.make_pledge(solicitation, 2 * WAN)
        factories.make_gift(solicitation, 1 * WAN, received_on=date(2026, 9, 20))
    factories.make_gift(completed, 1 * WAN, received_on=LAST_MONDAY)
    gift = factories.make_gift(reversed_, 1 * WAN, received_on=LAST_MONDAY)
    factories.make_gift(reversed_, -1 * WAN, received_on=LAST_SUNDAY, reversal_of_id=gift.id)

    newly_given = build(campaign).newly_given

    assert [(unit.unit_id, unit.amount_fen) for unit in newly_given] == [
        (now.unit_id, 5 * WAN),
        (completed.unit_id, 2 * WAN),
    ]


def test_the_week_ahead_has_its_open_visits_and_the_week_behind_is_counted(campaign):
    staff = factories.make_user(name="周可人")
    solicitation = factories.make_solicitation(campaign)
    values = {"solicitation_id": solicitation.id, "visitor_id": staff.id, "created_at": clock.now()}
    for status, day in (
        (VisitStatus.PLANNED, MONDAY + timedelta(days=6)),
        (VisitStatus.DROPPED, TUESDAY),
        (VisitStatus.PLANNED, MONDAY + timedelta(days=7)),
    ):
        at = time(9, 30)
        factories.save(Visit(**values, status=status, planned_on=day, planned_time=at))
        values["solicitation_id"] = factories.make_solicitation(campaign).id
    factories.save(
        Visit(
            **values,
            status=VisitStatus.LOGGED,
            outcome=VisitOutcome.WILL_DISCUSS,
            planned_on=LAST_SUNDAY,
        )
    )

    figures = build(campaign)

    (visit,) = figures.visits
    assert (visit.day, visit.at, visit.visitor) == (
        MONDAY + timedelta(days=6),
        time(9, 30),
        "周可人",
    )
    assert figures.logged_visit_count == 1


def test_what_waits_for_a_person_is_counted(campaign):
    author = factories.make_user()
    template = factories.make_template()
    for status in (WaveStatus.IN_REVIEW, WaveStatus.HELD, WaveStatus.DRAFT):
        factories.save(
            Wave(
                campaign_id=campaign.id,
                name="提醒",
                template_version_id=template.id,
                audience={},
                starts_at=clock.now(),
                not_after=clock.now() + timedelta(days=3),
                status=status,
                author_id=author.id,
                created_at=clock.now(),
            )
        )
    for status, at in (
        (MessageStatus.UNKNOWN, clock.now()),
        (MessageStatus.FAILED, clock.start_of(LAST_SUNDAY)),
        (MessageStatus.FAILED, clock.start_of(LAST_MONDAY - timedelta(days=1))),
    ):
        make_message(campaign, status, at)

    decisions = {line.kind: line.count for line in build(campaign).decisions}

    assert decisions == {
        DecisionKind.APPROVE_WAVE: 1,
        DecisionKind.RELEASE_WAVE: 1,
        DecisionKind.UNKNOWN_MESSAGE: 1,
        DecisionKind.FAILED_MESSAGE: 1,
    }


def test_what_went_out_in_the_week_is_counted_even_when_it_was_cancelled_too_late(campaign):
    sent_at = clock.start_of(LAST_MONDAY)
    for status, moment in (
        (MessageStatus.SENT, sent_at),
        (MessageStatus.DELIVERED, sent_at),
        (MessageStatus.CANCELLED, sent_at),  # a receipt proved that it had arrived
        (MessageStatus.CANCELLED, None),
        (MessageStatus.FAILED, sent_at),  # it bounced
        (MessageStatus.SENT, sent_at - timedelta(days=1)),
    ):
        make_message(campaign, status, sent_at).sent_at = moment
    db.session.commit()

    assert build(campaign).sent_message_count == 4


def make_message(campaign: Campaign, status: MessageStatus, at) -> Message:
    return factories.save(
        Message(
            purpose=Purpose.REMINDER,
            channel="email",
            campaign_id=campaign.id,
            address="someone@unit.example",
            address_hash="0" * 64,
            body_text="",
            status=status,
            failure=FailureKind.REJECTED if status is MessageStatus.FAILED else None,
            facts={},
            next_at=at,
            not_after=at,
            queued_at=at,
            status_at=at,
        )
    )


def test_a_stored_digest_never_changes(campaign):
    solicitation = factories.make_solicitation(campaign)
    factories.make_gift(solicitation, 3 * WAN, received_on=LAST_MONDAY)
    before = build(campaign)

    factories.make_gift(solicitation, 2 * WAN, received_on=LAST_MONDAY)
    solicitation.unit.name = "改名后的单位"
    db.session.commit()

    stored = db.session.scalars(sa.select(Digest)).one()
    assert Figures.model_validate(stored.figures) == before


def test_the_residual_of_rounding_is_shown(campaign):
    for _ in range(3):
        solicitation = factories.make_solicitation(campaign)
        factories.make_gift(solicitation, 10_049_00, received_on=LAST_MONDAY)

    figures = build(campaign)

    assert [money.format_wan_yuan(row.amount_fen) for row in figures.sectors] == ["1.00"] * 3
    assert money.format_wan_yuan(figures.total_fen) == "3.01"
    assert money.format_wan_yuan(figures.rounding_fen) == "0.01"


# The e-mail


def test_the_secretariat_gets_it_once_each(campaign):
    secretary = factories.make_user(Role.SECRETARY_GENERAL, email="a@office.example")
    staff = factories.make_user(Role.STAFF, email="b@office.example")
    factories.make_user(Role.STAFF, email="c@office.example", is_enabled=False)
    factories.make_user(Role.STAFF, email="")
    factories.make_user(Role.LIAISON)
    factories.make_user(Role.AUDITOR)

    build(campaign)
    build_digest(campaign, TUESDAY)
    db.session.commit()

    assert [mail.address for mail in digest_mails()] == [secretary.email, staff.email]
    assert {mail.subject for mail in digest_mails()} == {"2026年慈善一日捐周报 第 7 期"}


def test_the_mail_counts_outstanding_units_and_names_none(campaign):
    factories.make_user(Role.SECRETARY_GENERAL)
    given, outstanding = (factories.make_solicitation(campaign) for _ in range(2))
    factories.make_gift(given, 32_000_00, received_on=LAST_MONDAY)

    build(campaign)

    (mail,) = digest_mails()
    for part in (mail.body_text, mail.body_html):
        assert given.unit.name in part
        assert "32,000 元" in part
        assert outstanding.unit.name not in part
        assert outstanding.sector.name in part


def test_the_html_part_needs_nothing_from_outside_and_keeps_its_styles(campaign):
    campaign.name = "<b>活动</b>"
    mail = render_mail(build_digest(campaign, TUESDAY))

    assert "<style" not in mail.html
    assert "style=" in mail.html
    assert "<b>活动" not in mail.html
    assert not re.search(r"<(img|link|script|iframe)|url\(", mail.html)
    assert re.findall(r'href="([^"]*)"', mail.html) == [
        f"http://127.0.0.1:8000/c/2026/digests/{db.session.scalar(sa.select(Digest.id))}"
    ]


def test_the_text_part_is_text(campaign):
    text = render_mail(build_digest(campaign, TUESDAY)).text

    assert text.startswith("2026年慈善一日捐周报 第 7 期\n报告期 2026-10-12 至 2026-10-18")
    assert "<" not in text
    assert "\n\n\n" not in text


# The task


def test_the_task_builds_one_for_each_running_campaign(campaign):
    factories.make_campaign(status=CampaignStatus.CLOSED)
    factories.make_campaign(status=CampaignStatus.PLANNED)

    build_digests()

    assert [row.campaign_id for row in db.session.scalars(sa.select(Digest))] == [campaign.id]
    assert last_runs()["build_digests"].detail == "新生成 1 份周报"


def test_the_task_wakes_delivery(app, campaign):
    build_digests()

    assert app.extensions["woken"] == ["deliver"]


def test_a_digest_that_was_missed_is_built_later_in_the_week(campaign, tuesday_morning):
    tuesday_morning.move_to("2026-10-25T23:00:00+08:00")

    build_digests()

    assert db.session.scalars(sa.select(Digest)).one().iso_week == 43


def test_a_restart_does_not_build_it_twice(campaign, tuesday_morning):
    build_digests()
    tuesday_morning.shift(timedelta(hours=1))
    build_digests()

    assert len(db.session.scalars(sa.select(Digest)).all()) == 1
    assert last_runs()["build_digests"].result is JobResult.DONE


@pytest.mark.parametrize(
    ("now", "weeks"),
    [
        ("2026-10-18T23:59:00+08:00", [42]),
        ("2026-10-19T00:01:00+08:00", []),
        ("2026-10-19T07:30:00+08:00", [43]),
    ],
)
def test_the_week_turns_at_midnight_and_its_digest_comes_in_the_morning(
    campaign, tuesday_morning, now, weeks
):
    tuesday_morning.move_to(now)

    build_digests()

    assert list(db.session.scalars(sa.select(Digest.iso_week))) == weeks


def test_a_digest_that_a_restored_database_may_have_forgotten_is_left_to_a_person(
    app, campaign, tuesday_morning, sign_in
):
    """It went out on Monday; the copy is from Sunday."""
    factories.open_sending()
    channel = fake_channel.install(app)
    factories.make_user(Role.STAFF)
    copy = Copy()
    build_digests()
    assert delivery.drain() == 1
    copy.put_back()
    services.switch_sending(is_on=True)
    db.session.commit()
    tuesday_morning.shift(timedelta(minutes=50))
    build_digests()
    assert delivery.drain() == 0
    assert last_runs()["build_digests"].detail == "新生成 0 份周报，1 份待人工确认"
    secretary = sign_in(Role.SECRETARY_GENERAL)
    assert "数据库恢复之前" in secretary.get("/c/2026/digests").text
    assert "本周周报可能已经发出" in secretary.get("/c/2026/").text
    secretary.post("/c/2026/digests")  # it had not gone out after all
    assert "数据库恢复之前" not in secretary.get("/c/2026/digests").text
    assert delivery.drain() == 2
    tuesday_morning.shift(timedelta(days=6))
    build_digests()  # of a week that ended since
    assert delivery.drain() == 2
    assert max(channel.taken.values()) == 1


def test_a_digest_that_is_built_before_anybody_has_looked_waits_with_the_rest(app, campaign):
    factories.open_sending()
    fake_channel.install(app)
    factories.make_user(Role.STAFF)
    copy = Copy()
    build_digests()
    delivery.drain()
    copy.put_back()
    build_digests()
    services.switch_sending(is_on=True)
    db.session.commit()
    assert delivery.drain() == 0
    assert [mail.status for mail in digest_mails()] == [MessageStatus.UNKNOWN]


# The pages


def test_the_list_says_what_to_do_when_there_is_none(campaign, sign_in):
    page = sign_in(Role.SECRETARY_GENERAL).get("/c/2026/digests").text

    assert "还没有周报" in page
    assert "立即生成本周周报" in page


def test_a_reader_who_may_not_build_sees_no_button(campaign, sign_in):
    assert "立即生成" not in sign_in(Role.STAFF).get("/c/2026/digests").text


def test_building_now_shows_the_digest_and_wakes_delivery(app, campaign, sign_in):
    answer = sign_in(Role.SECRETARY_GENERAL).post("/c/2026/digests", follow_redirects=True)

    assert "第 7 期" in answer.text
    assert app.extensions["woken"] == ["deliver"]


def test_building_twice_is_refused_in_words(campaign, sign_in):
    client = sign_in(Role.SECRETARY_GENERAL)
    client.post("/c/2026/digests")

    answer = client.post("/c/2026/digests")

    assert answer.status_code == 422
    assert "已经生成" in answer.text


def test_a_closed_campaign_gets_no_digest(campaign, sign_in):
    campaign.status = CampaignStatus.CLOSED
    db.session.commit()

    assert sign_in(Role.SECRETARY_GENERAL).post("/c/2026/digests").status_code == 422


@pytest.mark.parametrize("role", [Role.STAFF, Role.AUDITOR, Role.LIAISON])
def test_only_deciders_build(campaign, sign_in, role):
    assert sign_in(role).post("/c/2026/digests").status_code == 403


def test_a_liaison_does_not_read_digests(campaign, sign_in):
    build(campaign)
    digest_id = db.session.scalar(sa.select(Digest.id))

    assert sign_in(Role.LIAISON).get(f"/c/2026/digests/{digest_id}").status_code == 403


def test_the_page_shows_figures_with_their_parts(campaign, sign_in):
    solicitation = factories.make_solicitation(campaign)
    factories.make_gift(solicitation, 3 * WAN, received_on=LAST_MONDAY)
    build(campaign)

    page = sign_in(Role.AUDITOR).get(f"/c/2026/digests/{db.session.scalar(sa.select(Digest.id))}")

    assert "总额 3.0000 万元 = 各板块 3.0000 + 未分配到板块 0.0000" in page.text
    assert solicitation.unit.name in page.text


def test_a_digest_of_another_campaign_is_not_found(campaign, sign_in):
    build(campaign)
    other = factories.make_campaign()
    digest_id = db.session.scalar(sa.select(Digest.id))

    assert sign_in(Role.STAFF).get(f"/c/{other.code}/digests/{digest_id}").status_code == 404


def test_mail_to_the_office_is_in_chinese_whatever_the_page_speaks(campaign, sign_in):
    factories.make_user(Role.SECRETARY_GENERAL)
    client = sign_in(Role.ADMINISTRATOR)
    client.post("/language", data={"language": "en"})

    client.post("/c/2026/digests")

    (mail,) = digest_mails()
    assert "没有等待处理的事项" in mail.body_text
