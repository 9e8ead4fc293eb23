"""Rows for tests, with defaults that are true to life. Each function flushes and commits."""

import hashlib
import itertools
import secrets
from datetime import date, timedelta
from typing import Any, TypeVar

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import LoginSession, User, UserSector
from outreach.campaigns.models import Campaign, CampaignStatus, Sector, Solicitation
from outreach.db import Base, db
from outreach.gifts.models import Gift, GiftKind, Pledge
from outreach.messages.models import (
    Channel,
    SendingWindow,
    SendPolicy,
    Template,
    TemplateVersion,
    WindowDays,
)
from outreach.units.models import Contact, ContactRole, Unit, UnitKind

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
                "ends_on": date(2026, 12, 31),
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


def make_pledge(solicitation: Solicitation, amount_fen: int = 100_000_00, **values: Any) -> Pledge:
    return save(
        Pledge(
            **{
                "solicitation_id": solicitation.id,
                "amount_fen": amount_fen,
                "pledged_on": clock.today(),
                "due_on": clock.today() + timedelta(days=14),
                "recorded_at": clock.now(),
            }
            | values
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
                "body": "((联系人)),您好:((单位名称))如有意参加((活动名称)),请与我们联系。捐赠自愿。",
                "created_at": clock.now(),
            }
            | values
        )
    )


def open_sending() -> None:
    """Sending on, every day and all day: what a test needs that is not about windows."""
    from datetime import time

    save(
        SendPolicy(
            id=1, is_on=True, contact_cap=2, contact_cap_days=7, unit_cap=3, changed_at=clock.now()
        )
    )
    save(SendingWindow(days=WindowDays.EVERY_DAY, opens_at=time(0, 0), closes_at=time(23, 59, 59)))
