"""Rows for tests, with defaults that are true to life. Each function flushes and commits."""

import hashlib
import io
import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from PIL import Image

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import LoginSession, User, UserSector
from outreach.campaigns.models import Campaign, CampaignStatus, Sector, Solicitation
from outreach.db import Base, db
from outreach.gifts import groups, lines
from outreach.gifts.groups import Part, Payment
from outreach.gifts.models import (
    Gift,
    GiftChannel,
    GiftGroup,
    GiftKind,
    Instalment,
    Pledge,
    StatementLine,
)
from outreach.meetings.models import Meeting
from outreach.messages import instance, queueing
from outreach.messages.addresses import hash_address
from outreach.messages.models import (
    Channel,
    Message,
    Purpose,
    SendingRate,
    SendingWindow,
    SendPolicy,
    Template,
    TemplateVersion,
    Wave,
    WaveStatus,
    WecomRobot,
    WindowDays,
)
from outreach.receipts.models import DonationReceipt
from outreach.reminders.models import WaveMember
from outreach.todos.models import Todo, TodoKind
from outreach.units.models import Contact, ContactRole, ImportBatch, ImportKind, Unit, UnitKind
from outreach.visits import photos
from outreach.visits.models import Visit, VisitPhoto, VisitStatus

Row = TypeVar("Row", bound=Base)
_numbers = itertools.count(1)


def save(row: Row) -> Row:
    db.session.add(row)
    db.session.commit()
    return row


def make_user(role: Role = Role.STAFF, sectors: tuple[Sector, ...] = (), **values: Any) -> User:
    number = next(_numbers)
    return save(
        User(
            **{
                "username": f"user{number}",
                "name": f"人员{number}",
                "email": f"user{number}@example.org",
                "role": role,
                "created_at": clock.now(),
                "sectors": [UserSector(sector_id=sector.id) for sector in sectors],
            }
            | values
        )
    )


def make_login(user: User) -> str:
    token = secrets.token_urlsafe(16)
    now = clock.now()
    save(
        LoginSession(
            token_hash=hashlib.sha256(token.encode()).hexdigest(),
            user_id=user.id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + timedelta(hours=12),
            address="127.0.0.1",
            user_agent="test",
        )
    )
    return token


def make_campaign(**values: Any) -> Campaign:
    return save(
        Campaign(
            **{
                "code": f"c{next(_numbers)}",
                "name": "2026年慈善一日捐",
                "starts_on": date(2026, 9, 1),
                # What runs by the clock of the machine may run later.
                "ends_on": max(date(2026, 12, 31), clock.today()),
                "goal_fen": 1_000_000_000,
                "status": CampaignStatus.RUNNING,
            }
            | values
        )
    )


def make_sector(campaign: Campaign, **values: Any) -> Sector:
    number = next(_numbers)
    return save(
        Sector(**{"campaign_id": campaign.id, "name": f"板块{number}", "position": number} | values)
    )


def make_unit(**values: Any) -> Unit:
    number = next(_numbers)
    name = values.get("name", f"衡阳市第{number}单位")
    return save(
        Unit(
            **{
                "name": name,
                "name_key": name,
                "initials": f"hysd{number}dw",
                "short_name": name[-6:],
                "kind": UnitKind.ORGAN,
                "created_at": clock.now(),
            }
            | values
        )
    )


def make_contact(unit: Unit, **values: Any) -> Contact:
    number = next(_numbers)
    return save(
        Contact(
            **{
                "unit_id": unit.id,
                "name": f"联络{number}",
                "role": ContactRole.COORDINATOR,
                "mobile": f"+86138{number:08d}",
                "email": f"contact{number}@unit.example",
                "valid_from": date(2026, 1, 1),
            }
            | values
        )
    )


def make_solicitation(
    campaign: Campaign | None = None, sector: Sector | None = None, **values: Any
) -> Solicitation:
    """A unit with one coordinator, in a sector of the campaign."""
    campaign = campaign or make_campaign()
    sector = sector or make_sector(campaign)
    unit = values.pop("unit", None)
    if unit is None:
        unit = make_unit()
        make_contact(unit)
    return save(
        Solicitation(
            **{"campaign_id": campaign.id, "sector_id": sector.id, "unit_id": unit.id} | values
        )
    )


def make_gift(solicitation: Solicitation, amount_fen: int = 100_000_00, **values: Any) -> Gift:
    return save(
        Gift(
            **{
                "campaign_id": solicitation.campaign_id,
                "unit_id": solicitation.unit_id,
                "sector_id": solicitation.sector_id,
                "amount_fen": amount_fen,
                "kind": GiftKind.UNIT,
                "received_on": clock.today(),
                "recorded_at": clock.now(),
            }
            | values
        )
    )


@contextmanager
def without_seals() -> Iterator[None]:
    """Gifts can be changed in the database, as by somebody who has its password."""
    if db.engine.dialect.name == "postgresql":
        lift, restore = (
            [f"SET session_replication_role = {role}"] for role in ("replica", "origin")
        )
    else:
        of_gift = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'gift'"
        seals = db.session.execute(sa.text(of_gift)).all()
        lift, restore = [f"DROP TRIGGER {name}" for name, _sql in seals], [sql for _, sql in seals]
    for statement in lift:
        db.session.execute(sa.text(statement))
    yield
    for statement in restore:
        db.session.execute(sa.text(statement))


def make_receipt(gift: Gift, **values: Any) -> DonationReceipt:
    """Of the whole gift, requested."""
    defaults = {
        "gift_id": gift.id,
        "payer": "衡阳市财政局",
        "amount_fen": gift.amount_fen,
        "requested_at": clock.now(),
    }
    return save(DonationReceipt(**defaults | values))


def make_group(solicitation: Solicitation, *amounts_fen: int, **values: Any) -> GiftGroup:
    """One payment of the unit, in parts."""
    group = groups.record_remittance(
        solicitation.campaign,
        [Part(amount, GiftKind.UNIT, unit=solicitation.unit, **values) for amount in amounts_fen],
        Payment(clock.today(), GiftChannel.TRANSFER),
        key=f"group{next(_numbers)}",
        total_fen=sum(amounts_fen),
        by=None,
    )
    assert group is not None
    return save(group)


def make_pledge(solicitation: Solicitation, amount_fen: int = 100_000_00, **values: Any) -> Pledge:
    due_on = values.pop("due_on", clock.today() + timedelta(days=14))
    return save(
        Pledge(
            **{
                "solicitation_id": solicitation.id,
                "amount_fen": amount_fen,
                "pledged_on": clock.today(),
                "recorded_at": clock.now(),
                "instalments": [
                    Instalment(due_on=due_on, amount_fen=amount_fen, owed_fen=amount_fen)
                ],
            }
            | values
        )
    )


def make_line(campaign: Campaign, **values: Any) -> StatementLine:
    """A payment that nobody has claimed."""
    key = f"line:{next(_numbers)}"
    lines.open_line(
        campaign,
        **{
            "payer": "某单位",
            "amount_fen": 300_00,
            "received_on": clock.today(),
            "line_key": key,
        }
        | values,
    )
    db.session.commit()
    return db.session.query(StatementLine).filter_by(line_key=values.get("line_key", key)).one()


def make_import_batch(campaign: Campaign, **counts: Any) -> ImportBatch:
    return save(
        ImportBatch(
            kind=ImportKind.GIFTS,
            campaign_id=campaign.id,
            file_name="到账明细.xlsx",
            sha256=f"{next(_numbers):064}",
            counts={"new": 0, "changed": 0, "unchanged": 0, "refused": 0, "amount_fen": 0} | counts,
            created_at=clock.now(),
        )
    )


def make_template(channel: Channel = Channel.EMAIL, **values: Any) -> TemplateVersion:
    template = save(Template(name=f"模板{next(_numbers)}", channel=channel))
    return save(
        TemplateVersion(
            **{
                "template_id": template.id,
                "number": 1,
                "subject": "关于((活动名称))的工作联系",
                "body": "((联系人)):((单位名称))如有意参加((活动名称)),请与我们联系。捐赠自愿。",
                "created_at": clock.now(),
            }
            | values
        )
    )


def open_sending() -> None:
    """Sending on, every day and all day: what a test needs that is not about windows."""
    from datetime import time

    policy = SendPolicy(
        id=1,
        is_on=True,
        contact_cap=2,
        contact_cap_days=7,
        unit_cap=3,
        unit_gap_days=0,
        sms_daily_budget=1000,
        changed_at=clock.now(),
        epoch=0,
    )
    instance.adopt(policy)
    save(policy)
    save(SendingWindow(days=WindowDays.EVERY_DAY, opens_at=time(0, 0), closes_at=time(23, 59, 59)))
    for channel in Channel:
        save(SendingRate(channel=channel, per_minute=None))


def keep_office_hours() -> None:
    """The hours of an office, from when sending is open."""
    from datetime import time

    hours = {"opens_at": time(8, 30), "closes_at": time(17, 30)}
    db.session.execute(sa.update(SendingWindow).values(days=WindowDays.WORKDAYS, **hours))
    db.session.commit()


def make_visit(solicitation: Solicitation, visitor: User | None = None, **values: Any) -> Visit:
    """A visit that is planned for today, unless `values` say otherwise."""
    return save(
        Visit(
            **{
                "solicitation_id": solicitation.id,
                "visitor_id": visitor.id if visitor else None,
                "status": VisitStatus.PLANNED,
                "planned_on": clock.today(),
                "created_at": clock.now(),
            }
            | values
        )
    )


def make_picture(colour: str = "teal", kind: str = "JPEG", **options: Any) -> bytes:
    """A file as a camera makes it; `options` are what Pillow is told."""
    buffer = io.BytesIO()
    Image.new("RGB", options.pop("size", (40, 30)), colour).save(buffer, kind, **options)
    return buffer.getvalue()


def make_photo(visit: Visit, by: User | None = None) -> VisitPhoto:
    photos.add_photos(visit, [photos.read_picture("门口.jpg", make_picture())], by=by)
    db.session.commit()
    return visit.photos[-1]


def make_todo(solicitation: Solicitation, owner: User | None = None, **values: Any) -> Todo:
    """A call that is due today, unless `values` say otherwise."""
    return save(
        Todo(
            **{
                "solicitation_id": solicitation.id,
                "owner_id": owner.id if owner else None,
                "kind": TodoKind.CALL,
                "due_on": clock.today(),
                "created_at": clock.now(),
            }
            | values
        )
    )


def make_meeting(campaign: Campaign, organizer: User | None = None, **values: Any) -> Meeting:
    """One that is planned for tomorrow, unless `values` say otherwise."""
    starts_at = clock.now() + timedelta(days=1)
    number = next(_numbers)
    return save(
        Meeting(
            **{
                "campaign_id": campaign.id,
                "uid": f"meeting-{number}@example.org",
                "title": "推进会",
                "starts_at": starts_at,
                "ends_at": starts_at + timedelta(hours=1),
                "organizer_id": (organizer or make_user()).id,
                "created_at": clock.now(),
            }
            | values
        )
    )


def make_message(**values: Any) -> Message | None:
    """A message outside a wave, queued through the outbox; None when its occurrence is taken."""
    number = next(_numbers)
    arguments = {
        "purpose": Purpose.DIGEST,
        "channel": Channel.EMAIL,
        "occurrence": f"test:{number}",
        "address": f"person{number}@office.example",
        "recipient_name": f"人员{number}",
        "subject": "测试",
        "body_text": "您好。",
    } | values
    is_new = queueing.queue_message(**arguments)
    db.session.commit()
    if not is_new:
        return None
    return db.session.query(Message).filter_by(occurrence=arguments["occurrence"]).one()


def make_robot(**values: Any) -> WecomRobot:
    """The robot of the secretariat's group in all campaigns, unless `values` say otherwise."""
    number = next(_numbers)
    return save(
        WecomRobot(
            **{
                "name": f"工作群{number}",
                "key": f"693a91f6-7xxx-4bc4-97a0-{number:012d}",
                "created_at": clock.now(),
            }
            | values
        )
    )


def make_running_wave(
    count: int = 0,
    *,
    solicitations: list[Solicitation] | None = None,
    channel: Channel = Channel.EMAIL,
) -> Wave:
    """A running wave with a queued message for the coordinator of each unit."""
    if solicitations is None:
        campaign = make_campaign()
        sector = make_sector(campaign)
        solicitations = [make_solicitation(campaign, sector) for _ in range(count)]
    campaign_id = solicitations[0].campaign_id if solicitations else make_campaign().id
    recipients = [(row.unit.contacts[0], [row]) for row in solicitations]
    return make_wave_to(campaign_id, recipients, channel=channel)


def make_wave_to(
    campaign_id: int,
    recipients: list[tuple[Contact, list[Solicitation]]],
    *,
    channel: Channel = Channel.EMAIL,
) -> Wave:
    """A running wave with a queued message for each contact, about these units."""
    now = clock.now()
    wave = save(
        Wave(
            campaign_id=campaign_id,
            name="第一次提醒",
            template_version_id=make_template(channel).id,
            audience={},
            starts_at=now,
            not_after=now + timedelta(days=1),
            status=WaveStatus.RUNNING,
            author_id=make_user().id,
            approver_id=make_user(Role.SECRETARY_GENERAL).id,
            started_at=now,
            created_at=now,
        )
    )
    drafts = []
    for contact, solicitations in recipients:
        address = contact.email if channel is Channel.EMAIL else contact.mobile
        for solicitation in solicitations:
            db.session.add(
                WaveMember(
                    wave_id=wave.id,
                    solicitation_id=solicitation.id,
                    contact_id=contact.id,
                    address_hash=hash_address(channel, address),
                    facts={},
                )
            )
        drafts.append(
            queueing.Draft(
                channel=channel,
                contact_id=contact.id,
                address=address,
                recipient_name=contact.name,
                subject="关于慈善一日捐的工作联系",
                body_text=f"{contact.name}，您好。",
                solicitation_ids=tuple(solicitation.id for solicitation in solicitations),
            )
        )
    queueing.materialise(wave, drafts)
    db.session.commit()
    return wave
