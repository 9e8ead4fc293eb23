"""One row of everything that a page can be about, for tests that walk all pages."""

from datetime import timedelta

import sqlalchemy as sa

from outreach import clock
from outreach.access import Role
from outreach.campaigns.models import Campaign, Sector, Stage, StageCause, StageChange
from outreach.db import db
from outreach.digests.services import build_digest
from outreach.gifts.models import PayerAlias, Source, Statement
from outreach.gifts.payers import learn_payer
from outreach.meetings.models import ActionItem, Attendee, Meeting, MeetingStatus
from outreach.messages.models import Message, SendingWindow
from outreach.reminders.models import ReminderRule, RuleKind
from outreach.spreadsheets import uploads
from outreach.spreadsheets.reading import SourceFile
from outreach.todos.models import TodoKind, TodoOutcome, TodoStatus
from outreach.units.models import UnitAlias
from outreach.visits.models import Visit, VisitOutcome, VisitStatus
from tests import factories
from tests.factories import save


def make_story(
    campaign: Campaign, sector: Sector, mark: str, amount_fen: int = 1_111_11
) -> dict[str, int | str]:
    """A unit with all that can happen to it; every text holds `mark`. Returns the ids by the
    names that addresses give them."""
    staff = factories.make_user(Role.STAFF)
    unit = factories.make_unit(
        name=f"{mark}市财政局",
        short_name=f"{mark}财政",
        sms_name=f"{mark}财",
        public_name=f"{mark}公",
        address=f"{mark}路1号",
        district=f"{mark}区",
    )
    save(UnitAlias(unit_id=unit.id, name=f"{mark}财政厅", name_key=f"{mark}财政厅"))
    contact = factories.make_contact(
        unit, name=f"{mark}敏", title=f"{mark}主任", email=f"{mark.lower()}@unit.example"
    )
    solicitation = factories.make_solicitation(
        campaign,
        sector,
        unit=unit,
        solicitor_id=staff.id,
        next_action=f"{mark}致电",
        next_action_on=clock.today(),
    )
    save(
        StageChange(
            solicitation_id=solicitation.id,
            at=clock.now(),
            from_stage=Stage.NOT_CONTACTED,
            to_stage=Stage.CONTACTED,
            cause=StageCause.PERSON,
            note=f"{mark}说明",
        )
    )
    gift = factories.make_gift(
        solicitation, amount_fen, reference=f"{mark}流水", note=f"{mark}附言"
    )
    group = factories.make_group(solicitation, amount_fen, 1_00, designation=f"{mark}用途")
    factories.make_pledge(solicitation, amount_fen * 2, note=f"{mark}承诺")
    line = factories.make_line(campaign, payer=f"{mark}付款人", note=f"{mark}附言")
    learn_payer(line, solicitation, by=staff)
    statement = save(
        Statement(
            campaign_id=campaign.id,
            file_name=f"{mark}流水.csv",
            sha256=mark.encode().hex().ljust(64, "0")[:64],
            source=Source.BANK,
            credit_count=0,
            credit_fen=0,
            known_count=0,
            known_fen=0,
            debit_count=0,
            debit_fen=0,
            imported_at=clock.now(),
        )
    )
    alias = db.session.scalars(sa.select(PayerAlias).filter_by(line_id=line.id)).one()
    visits = [
        save(
            Visit(
                solicitation_id=solicitation.id,
                visitor_id=staff.id,
                planned_on=clock.today() + timedelta(days=days),
                reason=f"{mark}理由",
                note=f"{mark}纪要",
                created_at=clock.now(),
                **state,
            )
        )
        for days, state in (
            (-1, {"status": VisitStatus.LOGGED, "outcome": VisitOutcome.COME_AGAIN}),
            (0, {"status": VisitStatus.PLANNED}),
        )
    ]
    todo = factories.make_todo(solicitation, staff, reason=f"{mark}事由", contact_id=contact.id)
    factories.make_todo(
        solicitation,
        staff,
        kind=TodoKind.LEADER,
        status=TodoStatus.DONE,
        outcome=TodoOutcome.SETTLED,
        note=f"{mark}答复",
        settled_at=clock.now(),
    )
    meeting = save(
        Meeting(
            campaign_id=campaign.id,
            uid=f"{mark}@example.org",
            title=f"{mark}协调会",
            starts_at=clock.now() - timedelta(hours=1),
            ends_at=clock.now() + timedelta(hours=1),
            place=f"{mark}会议室",
            minutes=f"{mark}纪要",
            status=MeetingStatus.PLANNED,
            organizer_id=staff.id,
            created_at=clock.now(),
        )
    )
    attendee = save(Attendee(meeting_id=meeting.id, contact_id=contact.id))
    item = save(
        ActionItem(
            meeting_id=meeting.id,
            unit_id=unit.id,
            owner_id=staff.id,
            text=f"{mark}待办",
            due_on=clock.today(),
        )
    )
    wave = factories.make_running_wave(solicitations=[solicitation])
    message_id = db.session.scalars(sa.select(Message.id).filter_by(wave_id=wave.id)).one()
    return {
        "campaign_code": campaign.code,
        "campaign_id": campaign.id,
        "sector_id": sector.id,
        "unit_id": unit.id,
        "contact_id": contact.id,
        "gift_id": gift.id,
        "receipt_id": factories.make_receipt(gift, payer=f"{mark}交款人").id,
        "group_id": group.id,
        "line_id": line.id,
        "alias_id": alias.id,
        "name": "open_lines",
        "batch_id": factories.make_import_batch(campaign).id,
        "visit_id": visits[-1].id,
        "photo_id": factories.make_photo(visits[0], staff).id,
        "todo_id": todo.id,
        "meeting_id": meeting.id,
        "statement_id": statement.id,
        "attendee_id": attendee.id,
        "item_id": item.id,
        "wave_id": wave.id,
        "template_id": wave.template_version.template_id,
        "message_id": message_id,
        "user_id": staff.id,
    }


def make_world(campaign: Campaign, sector: Sector, mark: str = "世界") -> dict[str, int | str]:
    """A story, with what belongs to the campaign as a whole."""
    ids = make_story(campaign, sector, mark)
    digest = build_digest(campaign, clock.today())
    assert digest is not None
    db.session.commit()
    factories.open_sending()
    # Somebody who can be written to, so that there is a letter of thanks to look at.
    other = factories.make_solicitation(campaign, sector)
    factories.make_gift(other)
    rule = save(
        ReminderRule(
            campaign_id=campaign.id,
            kind=RuleKind.GIFT_RECEIVED,
            settings={"workdays": 3},
            template_id=ids["template_id"],
            tried_at=clock.now(),
        )
    )
    return ids | {
        "survivor_id": ids["unit_id"],
        "loser_id": other.unit_id,
        "kind": rule.kind.value,
        "key": f"rule:{rule.id}:thanks:{clock.today()}",
        "window_id": db.session.scalars(sa.select(SendingWindow.id)).one(),
        "digest_id": digest.id,
        "robot_id": factories.make_robot(name=f"{mark}工作群").id,
        "year": clock.today().year,
        "filename": "app.css",
        "token": "no-such-token",
        "sha256": uploads.keep(SourceFile("名册.csv", "单位名称,板块\n".encode())),
    }
