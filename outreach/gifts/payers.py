"""Who is known to pay for whom: learned when a person claims a line, and forgotten on request."""

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload

from outreach import audit, clock
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db, insert_new
from outreach.errors import NotFound
from outreach.gifts.matching import Matcher, match_lines
from outreach.gifts.models import PayerAlias, StatementLine
from outreach.units import naming


def learn_payer(line: StatementLine, solicitation: Solicitation, *, by: User) -> bool:
    """Remembers that the line's payer pays for the unit, unless its names say so already."""
    key = naming.name_key(line.payer)
    campaign = db.session.get_one(Campaign, line.campaign_id)
    if not key or Matcher(campaign).names_payer(line.payer, solicitation.id):
        return False
    alias = {
        "payer_key": key,
        "payer": line.payer,
        "unit_id": solicitation.unit_id,
        "line_id": line.id,
        "learned_at": clock.now(),
        "learned_by_id": by.id,
    }
    is_new = insert_new(PayerAlias, [alias], ["payer_key", "unit_id"])
    if is_new:
        match_lines(campaign)
        audit.record("learn.payer", f"unit:{solicitation.unit_id}", line_id=line.id)
    return bool(is_new)


def forget_payer(campaign: Campaign, alias_id: int) -> PayerAlias:
    """Payments of that name are no longer proposed for the unit; gifts stay."""
    alias = db.session.get(PayerAlias, alias_id)
    if alias is None:
        raise NotFound(_("没有这条付款人记录，可能已被删除。"))
    db.session.delete(alias)
    db.session.flush()
    match_lines(campaign)
    audit.record("forget.payer", f"unit:{alias.unit_id}", payer_alias_id=alias_id)
    return alias


def select_payers() -> sa.Select[PayerAlias]:
    return (
        sa.select(PayerAlias)
        .options(joinedload(PayerAlias.unit), joinedload(PayerAlias.learned_by))
        .order_by(PayerAlias.payer, PayerAlias.id)
    )
