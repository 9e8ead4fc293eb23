"""The send gate: each reason, which of two wins, and to whom it applies."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import combinations

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.campaigns.models import CampaignStatus, DeclineReason, Solicitation, Stage
from outreach.db import db
from outreach.messages import delivery, gate, outbox, receipts
from outreach.messages.addresses import hash_address
from outreach.messages.gate import Candidate, SendGate
from outreach.messages.models import (
    BounceCause,
    Channel,
    DeliveryReceipt,
    FailureKind,
    Message,
    MessageStatus,
    OptOut,
    Purpose,
    ReceiptKind,
    SendPolicy,
    WithheldReason,
)
from outreach.messages.receipts import Report
from outreach.reminders import services
from outreach.reminders.models import WaveMember
from outreach.todos.models import TodoKind
from outreach.units.models import Contact
from tests import factories, fake_channel
from tests.conftest import noting_statements
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_line,
    make_message,
    make_pledge,
    make_running_wave,
    make_sector,
    make_solicitation,
    make_todo,
    make_unit,
    open_sending,
    save,
)
from tests.test_waves import make_approved

R = WithheldReason


class Case:
    """A message to one unit that would be sent, until reasons are added."""

    def __init__(
        self, purpose: Purpose = Purpose.REMINDER, channel: Channel = Channel.EMAIL
    ) -> None:
        self.purpose, self.channel = purpose, channel
        self.campaign = make_campaign()
        self.solicitation = make_solicitation(self.campaign)
        self.contact = self.solicitation.unit.contacts[0]
        self.address = self.contact.email if channel is Channel.EMAIL else self.contact.mobile
        self.address_hash = hash_address(channel, self.address)
        self.wave_id: int | None = None
        self.gift = make_gift(self.solicitation) if purpose is Purpose.THANKS else None

    def queue(self) -> Message:
        """The case as a row of the outbox, in a wave that was approved for it."""
        wave = make_running_wave(solicitations=[self.solicitation], channel=self.channel)
        wave.purpose, self.wave_id = self.purpose, wave.id
        message = db.session.query(Message).filter_by(wave_id=wave.id).one()
        message.purpose = self.purpose
        return message

    def candidate(self, purpose: Purpose | None = None, **values) -> Candidate:
        return Candidate(
            **{
                "key": 1,
                "purpose": purpose or self.purpose,
                "channel": self.channel,
                "address_hash": hash_address(self.channel, self.address),
                "contact_id": self.contact.id,
                "campaign_id": self.campaign.id,
                "wave_id": self.wave_id,
                "solicitation_ids": (self.solicitation.id,),
            }
            | values
        )


def give(case: Case) -> None:
    make_gift(case.solicitation, 3_000_000)


def give_partly(case: Case) -> None:
    make_gift(case.solicitation, 1_000_000)
    make_pledge(case.solicitation, 90_000_000, due_on=clock.today() - timedelta(days=1))


def receive_from_nobody_knows_whom(case: Case) -> None:
    make_line(case.campaign, payer=case.solicitation.unit.name, received_on=date(2026, 10, 12))


def reply(case: Case) -> None:
    make_todo(case.solicitation, kind=TodoKind.REPLY, reason="“我们已经捐了”")


def promise(case: Case) -> None:
    make_pledge(case.solicitation, 90_000_000, due_on=date(2026, 11, 5))


def decline(case: Case) -> None:
    case.solicitation.stage = Stage.DECLINED
    case.solicitation.decline_reason = DeclineReason.HARD_TIMES


def exempt(case: Case) -> None:
    case.solicitation.is_exempt = True


def snooze(case: Case) -> None:
    case.solicitation.snoozed_until = clock.today()


def close_campaign(case: Case) -> None:
    case.campaign.status = CampaignStatus.CLOSED


def opt_out(case: Case) -> None:
    values = {"channel": case.channel, "address_hash": case.address_hash}
    save(OptOut(**values, source="test", at=clock.now()))


def lose_address(case: Case) -> None:
    case.address = ""


def bounce(case: Case) -> None:
    message = make_message(channel=case.channel, address=case.address)
    message.status, message.failure = MessageStatus.FAILED, FailureKind.BOUNCED
    message.sent_at = clock.now() - timedelta(days=1)
    save(
        DeliveryReceipt(
            key=f"test:{message.id}",
            message_id=message.id,
            resend_no=0,
            kind=ReceiptKind.BOUNCED,
            cause=BounceCause.NO_SUCH_ADDRESS,
            received_at=clock.now(),
        )
    )


def take_gift_back(case: Case) -> None:
    make_gift(case.solicitation, -case.gift.amount_fen, reversal_of_id=case.gift.id)


def drop_from_audience(case: Case) -> None:
    if case.wave_id is None:
        case.queue()
    db.session.execute(sa.delete(WaveMember).filter_by(wave_id=case.wave_id))


def write_a_moment_ago(case: Case) -> None:
    if case.wave_id is None:
        case.queue()
    message = make_message(channel=Channel.SMS, address=case.contact.mobile)
    message.status, message.sent_at = MessageStatus.SENT, clock.now()


def leave(case: Case) -> None:
    case.contact.valid_to = clock.today() - timedelta(days=1)


def reach_contact_cap(case: Case) -> None:
    remind(case, 2, [case.contact.id], [])


def reach_unit_cap(case: Case) -> None:
    others = [make_contact(case.solicitation.unit).id for _ in range(3)]
    remind(case, 3, others, [case.solicitation.id])


def remind_today(case: Case) -> None:
    db.session.get_one(SendPolicy, 1).unit_gap_days = 1
    remind(case, 1, [make_contact(case.solicitation.unit).id], [case.solicitation.id])
    message = db.session.scalars(sa.select(Message).order_by(Message.id.desc())).first()
    message.sent_at = clock.now()


def remind(case: Case, count: int, contact_ids: list[int], solicitation_ids: list[int]) -> None:
    for number in range(count):
        message = make_message(
            purpose=Purpose.REMINDER,
            contact_id=contact_ids[number % len(contact_ids)],
            solicitation_ids=solicitation_ids,
        )
        message.status = MessageStatus.SENT
        message.sent_at = clock.now() - timedelta(days=1)
    db.session.commit()


REASONS = {
    R.ALREADY_GIVEN: give,
    R.PARTLY_GIVEN: give_partly,
    R.UNMATCHED_LINE: receive_from_nobody_knows_whom,
    R.UNREAD_REPLY: reply,
    R.PLEDGE_NOT_DUE: promise,
    R.NOTHING_GIVEN: take_gift_back,
    R.DECLINED: decline,
    R.EXEMPT: exempt,
    R.SNOOZED: snooze,
    R.CAMPAIGN_CLOSED: close_campaign,
    R.OPTED_OUT: opt_out,
    R.NO_ADDRESS: lose_address,
    R.DEAD_ADDRESS: bounce,
    R.CONTACT_LEFT: leave,
    R.NOT_IN_AUDIENCE: drop_from_audience,
    R.PROVIDER_RULE: write_a_moment_ago,
    R.CONTACT_CAP: reach_contact_cap,
    R.UNIT_CAP: reach_unit_cap,
    R.UNIT_GAP: remind_today,
}
"""In the order in which they win."""

OF_THANKS = {
    R.NOTHING_GIVEN,
    R.OPTED_OUT,
    R.NO_ADDRESS,
    R.DEAD_ADDRESS,
    R.CONTACT_LEFT,
    R.NOT_IN_AUDIENCE,
}
KINDS = {
    (Purpose.REMINDER, Channel.EMAIL): REASONS.keys() - {R.NOTHING_GIVEN, R.PROVIDER_RULE},
    (Purpose.REMINDER, Channel.SMS): REASONS.keys() - {R.NOTHING_GIVEN},
    (Purpose.THANKS, Channel.EMAIL): OF_THANKS,
    (Purpose.THANKS, Channel.SMS): OF_THANKS | {R.PROVIDER_RULE},
}
"""What there can be against a message, by purpose and channel."""


def make_case(*reasons: R) -> Case | None:
    """With these reasons, of the first kind of which all may be true; None when there is none."""
    kind = next((kind for kind, possible in KINDS.items() if possible.issuperset(reasons)), None)
    if kind is None:
        return None
    case = Case(*kind)
    for reason in reasons:
        REASONS[reason](case)
    return case


MONEY = {R.ALREADY_GIVEN, R.PARTLY_GIVEN, R.PLEDGE_NOT_DUE}
NEVER_TOGETHER = {R.OPTED_OUT, R.NO_ADDRESS}


@pytest.fixture
def ask(app: Flask):
    open_sending()
    send_gate: SendGate = app.extensions["outreach.gate"]

    def ask(*candidates: Candidate) -> dict[int, R]:
        db.session.commit()
        withheld = send_gate.ask(candidates, clock.now())
        return {key: why.reason for key, why in withheld.items()}

    return ask


def test_without_a_reason_it_is_sent(ask):
    assert ask(Case().candidate()) == {}


@pytest.mark.parametrize("reason", REASONS, ids=str)
def test_each_reason_withholds(ask, reason: R):
    assert ask(make_case(reason).candidate()) == {1: reason}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_two_reasons_the_earlier_is_shown(ask):
    for first, second in combinations(REASONS, 2):
        if {first, second} <= MONEY or {first, second} == NEVER_TOGETHER:
            continue
        if case := make_case(first, second):
            assert ask(case.candidate()) == {1: first}, (first, second)
        else:
            assert R.NOTHING_GIVEN in (first, second), "only letters of thanks are asked for it"


def test_every_reason_of_the_gate_is_in_the_table():
    assert REASONS.keys() == set(R)


ALWAYS = {R.NO_ADDRESS, R.PROVIDER_RULE}
APPLIES = {
    Purpose.REMINDER: REASONS.keys() - {R.NOTHING_GIVEN},
    Purpose.CORRECTION: ALWAYS | {R.OPTED_OUT, R.DEAD_ADDRESS, R.NOT_IN_AUDIENCE},
    Purpose.INVITATION: ALWAYS | {R.OPTED_OUT, R.DEAD_ADDRESS, R.CONTACT_LEFT},
    Purpose.DIGEST: ALWAYS,
    Purpose.TEST: ALWAYS,
    Purpose.ACCOUNT: ALWAYS,
}


def test_each_purpose_has_its_own_reasons(ask):
    for reason in REASONS:
        case = make_case(reason)
        for purpose, reasons in APPLIES.items():
            expected = {1: reason} if reason in reasons else {}
            assert ask(case.candidate(purpose)) == expected, (purpose, reason)


def correct_the_address(contact: Contact) -> None:
    contact.email = "right@unit.example"


def end_the_office(contact: Contact) -> None:
    contact.valid_to = clock.today() - timedelta(days=1)


def part_the_units(contact: Contact) -> None:
    """As when a merge is taken back: the person answers for another unit."""
    contact.unit_id = make_unit().id


@pytest.mark.parametrize("change", [correct_the_address, end_the_office, part_the_units])
@pytest.mark.parametrize("is_shared", [False, True], ids=["of its own", "shared"])
def test_what_is_queued_does_not_go_to_who_answers_for_the_unit_no_more(
    app: Flask, change: Callable[[Contact], None], is_shared: bool
):
    """Of a letter to one mailbox about two units: when it is so of the second of them."""
    open_sending()
    campaign = make_campaign()
    units = [make_unit(name="衡阳市财政局"), make_unit(name="衡阳市审计局")][: 1 + is_shared]
    contacts = [make_contact(unit, email="both@unit.example") for unit in units]
    for unit in units:
        make_solicitation(campaign, unit=unit)
    services.start_wave(make_approved(campaign))
    change(contacts[-1])
    db.session.commit()
    channel = fake_channel.install(app)
    delivery.drain()
    assert not channel.taken
    message = db.session.scalars(sa.select(Message)).one()
    if change is end_the_office and not is_shared:
        assert message.withheld_reason is R.CONTACT_LEFT
        return
    said = gate.describe(message.withheld_reason, message.facts)
    about = "衡阳市审计局：" if is_shared else ""
    assert said == f"{about}批准之后，联络员或地址已有变化"


@pytest.mark.parametrize(
    ("gap", "sent_at", "is_withheld"),
    [
        (0, "2026-10-20T09:00:00+08:00", False),
        (1, "2026-10-20T00:00:00+08:00", True),
        (1, "2026-10-19T23:59:59+08:00", False),
        (2, "2026-10-19T00:00:00+08:00", True),
        (2, "2026-10-18T23:59:59+08:00", False),
    ],
)
def test_a_unit_is_not_reminded_again_too_soon(
    app: Flask, ask, gap: int, sent_at: str, is_withheld: bool
):
    """Days are those of Shanghai; it is 2026-10-20."""
    case = Case()
    remind(case, 1, [make_contact(case.solicitation.unit).id], [case.solicitation.id])
    db.session.scalars(sa.select(Message)).one().sent_at = datetime.fromisoformat(sent_at)
    db.session.get_one(SendPolicy, 1).unit_gap_days = gap
    assert ask(case.candidate()) == ({1: R.UNIT_GAP} if is_withheld else {})
    if is_withheld:
        why = app.extensions["outreach.gate"].ask([case.candidate()], clock.now())[1]
        assert gate.describe(why.reason, why.facts).endswith(f"两次提醒至少隔 {gap} 天")


def test_of_two_waves_that_leave_together_a_unit_gets_one_letter(app: Flask):
    """They were started in the evening, and both go when the hours begin."""
    open_sending()
    db.session.get_one(SendPolicy, 1).unit_gap_days = 1
    campaign = make_campaign()
    make_solicitation(campaign)
    for _ in range(2):
        services.start_wave(make_approved(campaign))
    db.session.commit()
    channel = fake_channel.install(app)
    delivery.drain()
    assert sum(channel.taken.values()) == 1
    assert set(db.session.scalars(sa.select(Message.withheld_reason))) == {None, R.UNIT_GAP}


def test_a_message_about_several_units_is_withheld_for_one_of_them(app: Flask, ask):
    case = Case()
    other = make_solicitation(case.campaign, unit=make_unit(name="衡阳市教育局"))
    make_gift(other, 3_000_000)
    candidate = case.candidate(solicitation_ids=(case.solicitation.id, other.id))
    assert ask(candidate) == {1: R.ALREADY_GIVEN}
    withheld = app.extensions["outreach.gate"].ask([candidate], clock.now())[1]
    assert gate.describe(withheld.reason, withheld.facts) == (
        "衡阳市教育局：已到账 3.00 万元，10-20"
    )


@pytest.mark.parametrize(
    ("given", "pledged", "due", "received_days_ago", "expected"),
    [
        (300, None, None, 30, R.ALREADY_GIVEN),
        (300, 300, -1, 30, R.ALREADY_GIVEN),
        # Two reasons at once: the earlier is shown.
        (300, None, None, 3, R.ALREADY_GIVEN),
        (300, 300, 5, 30, R.ALREADY_GIVEN),
        (100, 300, 5, 3, R.PARTLY_GIVEN),
        (100, 300, -1, 30, None),
        (100, 300, -1, 3, R.PARTLY_GIVEN),
        (100, 300, 0, 30, R.PLEDGE_NOT_DUE),
        (None, 300, 5, None, R.PLEDGE_NOT_DUE),
        (None, 300, -1, None, None),
    ],
)
def test_money_decides(ask, given, pledged, due, received_days_ago, expected):
    case = Case()
    if given:
        received = clock.today() - timedelta(days=received_days_ago)
        make_gift(case.solicitation, given, received_on=received)
    if pledged:
        make_pledge(case.solicitation, pledged, due_on=clock.today() + timedelta(days=due))
    assert ask(case.candidate()) == ({1: expected} if expected else {})


def test_a_gift_that_was_reversed_does_not_count(ask):
    case = Case()
    gift = make_gift(case.solicitation, 500)
    make_gift(case.solicitation, -500, reversal_of_id=gift.id)
    assert ask(case.candidate()) == {}


def test_a_withdrawn_pledge_does_not_count(ask):
    case = Case()
    make_pledge(case.solicitation, withdrawn_at=clock.now())
    assert ask(case.candidate()) == {}


def test_a_gift_in_another_campaign_does_not_count(ask):
    case = Case()
    last_year = make_campaign()
    make_gift(
        make_solicitation(last_year, make_sector(last_year), unit=case.solicitation.unit), 300
    )
    assert ask(case.candidate()) == {}


def test_a_cap_counts_those_before_it_in_the_batch(ask):
    case = Case()
    others = [make_solicitation(case.campaign) for _ in range(3)]
    batch = [
        case.candidate(key=number, solicitation_ids=(other.id,))
        for number, other in enumerate(others)
    ]
    assert ask(*batch) == {2: R.CONTACT_CAP}


def test_one_that_is_withheld_anyway_uses_up_no_cap(ask):
    case = Case()
    others = [make_solicitation(case.campaign) for _ in range(3)]
    make_gift(others[0])
    batch = [
        case.candidate(key=number, solicitation_ids=(other.id,))
        for number, other in enumerate(others)
    ]
    assert ask(*batch) == {0: R.ALREADY_GIVEN}


def test_a_reminder_of_last_week_does_not_count_for_the_contact(ask, tuesday_morning):
    case = Case()
    reach_contact_cap(case)
    tuesday_morning.shift(timedelta(days=6, minutes=1))
    assert ask(case.candidate()) == {}


def test_two_waves_at_once_keep_the_cap(app: Flask):
    open_sending()
    db.session.get(SendPolicy, 1).contact_cap = 1
    solicitation = make_solicitation()
    for _ in range(2):
        make_running_wave(solicitations=[solicitation])
    channel = fake_channel.install(app)
    delivery.drain()
    assert len(channel.taken) == 1


def test_one_address_of_several_contacts_keeps_the_cap(app: Flask):
    open_sending()
    campaign = make_campaign()
    channel = fake_channel.install(app)
    for _ in range(3):
        solicitation = make_solicitation(campaign)
        solicitation.unit.contacts[0].email = "one@unit.example"
        make_running_wave(solicitations=[solicitation])
    delivery.drain()
    assert len(channel.taken) == 2


def test_the_description_is_what_people_read():
    facts = {"amount_fen": 3_000_000, "received_on": "2026-10-12"}
    assert gate.describe(R.ALREADY_GIVEN, facts) == "已到账 3.00 万元，10-12"


@pytest.mark.parametrize("reason", list(R))
def test_every_reason_can_be_described_whatever_is_known(app: Flask, reason: R):
    assert gate.describe(reason, {})


@pytest.mark.parametrize("reason", REASONS, ids=str)
def test_what_is_stored_of_a_reason_reads_well(app: Flask, ask, reason: R):
    case = make_case(reason)
    db.session.commit()
    withheld = app.extensions["outreach.gate"].ask([case.candidate()], clock.now())[1]
    text = gate.describe(withheld.reason, withheld.facts)
    assert "—" not in text
    assert "%" not in text


def test_snoozing_ends_after_its_last_day(ask):
    case = Case()
    case.solicitation.snoozed_until = clock.today() - timedelta(days=1)
    assert ask(case.candidate()) == {}


def test_asking_about_many_takes_no_more_queries(app: Flask, ask):
    campaign = make_campaign()
    sector = make_sector(campaign)
    rows: list[Solicitation] = [make_solicitation(campaign, sector) for _ in range(30)]
    candidates = [
        Candidate(
            key=row.id,
            purpose=Purpose.REMINDER,
            channel=Channel.EMAIL,
            address_hash=hash_address(Channel.EMAIL, row.unit.contacts[0].email),
            contact_id=row.unit.contacts[0].id,
            campaign_id=campaign.id,
            solicitation_ids=(row.id,),
        )
        for row in rows
    ]
    with noting_statements() as statements:
        assert ask(*candidates) == {}
    assert len([text for text in statements if text.startswith("SELECT")]) <= 16


def find_suspects(app: Flask, *messages: Message) -> set[int]:
    db.session.commit()
    send_gate: SendGate = app.extensions["outreach.gate"]
    return send_gate.find_suspects([message.id for message in messages], clock.now())


def test_what_has_no_reason_against_it_is_not_asked_about(app: Flask):
    open_sending()
    assert find_suspects(app, *(Case().queue() for _ in range(3))) == set()


@pytest.mark.parametrize("reason", REASONS, ids=str)
def test_a_screen_clears_nothing_that_the_gate_would_withhold(app: Flask, reason: R):
    open_sending()
    kind = next(kind for kind, possible in KINDS.items() if reason in possible)
    case, bystander = Case(*kind), Case()
    message, other = case.queue(), bystander.queue()
    REASONS[reason](case)
    if reason is R.NO_ADDRESS:
        message.address_hash = ""
    assert find_suspects(app, message, other) == {message.id}


@pytest.mark.parametrize("reason", [R.CONTACT_CAP, R.UNIT_CAP], ids=str)
def test_what_was_cancelled_because_it_had_arrived_counts(app: Flask, ask, reason: R):
    case = Case()
    REASONS[reason](case)
    reached = db.session.scalars(sa.select(Message)).all()
    for message in reached:
        message.status, message.sent_at = MessageStatus.QUEUED, None
    message = case.queue()
    assert ask(case.candidate()) == {}
    receipts.take(
        [Report(f"test:{row.id}", row.id, 0, ReceiptKind.DELIVERED) for row in reached], clock.now()
    )
    db.session.commit()
    assert {row.status for row in reached} == {MessageStatus.CANCELLED}
    assert ask(case.candidate()) == {1: reason}
    assert find_suspects(app, message) == {message.id}


@pytest.mark.parametrize("reason", [R.CONTACT_CAP, R.UNIT_CAP], ids=str)
def test_what_may_have_arrived_counts_also_when_it_was_given_up(app: Flask, ask, reason: R):
    case = Case()
    REASONS[reason](case)
    reached = db.session.scalars(sa.select(Message)).all()
    for message in reached:
        message.status, message.sent_at = MessageStatus.UNKNOWN, None
        outbox.settle_unknown(message, outbox.Decision.CANCEL, clock.now())
    db.session.commit()
    message = case.queue()
    assert {row.status for row in reached} == {MessageStatus.CANCELLED}
    assert ask(case.candidate()) == {1: reason}
    assert find_suspects(app, message) == {message.id}


@pytest.mark.parametrize("days", [0, 1])
def test_reminders_end_with_the_last_day_of_the_campaign(app: Flask, ask, days: int):
    case = Case()
    case.campaign.ends_on = clock.today() - timedelta(days=days)
    message = case.queue()
    is_over = days > 0
    assert ask(case.candidate()) == ({1: R.CAMPAIGN_CLOSED} if is_over else {})
    assert find_suspects(app, message) == ({message.id} if is_over else set())
    for purpose in (Purpose.RELAY, Purpose.CORRECTION):
        assert ask(case.candidate(purpose)) == {}


def test_a_campaign_that_has_ended_says_when_and_what_to_do(app: Flask):
    fake_channel.install(app)
    open_sending()
    case = Case()
    message = case.queue()
    case.campaign.ends_on = clock.today() - timedelta(days=1)
    db.session.commit()
    delivery.drain()
    db.session.refresh(message)
    assert message.status is MessageStatus.WITHHELD
    said = gate.describe(message.withheld_reason, message.facts)
    assert said == "活动已于 10-19 截止，要继续提醒，请先延长活动的结束日期"


def test_what_was_not_approved_is_suspect(app: Flask):
    open_sending()
    message = Case().queue()
    db.session.execute(sa.update(WaveMember).values(address_hash="another"))
    assert find_suspects(app, message) == {message.id}


def test_two_who_count_for_each_other_are_suspect(app: Flask):
    """They may use up a cap together, though neither does alone."""
    open_sending()
    case = Case()
    messages = [case.queue(), case.queue()]
    assert find_suspects(app, *messages) == {message.id for message in messages}


def test_each_check_has_a_screen(app: Flask):
    """A check without one is right and slow: each message is asked about."""
    for check in app.extensions["outreach.gate"].checks:
        assert hasattr(check, "screen"), check.__name__


def test_the_cap_counts_person_and_address_together_at_sending(app: Flask):
    """A text message to the person, a mail to the address under another name: two of two."""
    factories.open_sending()
    campaign = factories.make_campaign()
    one, other = (factories.make_solicitation(campaign) for _ in range(2))
    person, namesake = one.unit.contacts[0], other.unit.contacts[0]
    namesake.email = person.email
    earlier = [
        factories.make_message(
            purpose=Purpose.REMINDER,
            channel=Channel.SMS,
            address=person.mobile,
            contact_id=person.id,
        ),
        factories.make_message(
            purpose=Purpose.REMINDER, address=person.email, contact_id=namesake.id
        ),
    ]
    for message in earlier:
        message.status, message.sent_at = MessageStatus.SENT, clock.now() - timedelta(days=1)
    db.session.commit()
    wave = factories.make_running_wave(solicitations=[one])
    channel = fake_channel.install(app)

    delivery.drain()

    row = db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id)).one()
    assert (row.status, row.withheld_reason) == (
        MessageStatus.WITHHELD,
        WithheldReason.CONTACT_CAP,
    )
    assert not channel.taken
