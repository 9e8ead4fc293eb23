"""The work list of units to take away."""

from collections.abc import Sequence

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.export_pages import name_in_file
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.gifts.standings import Standing
from outreach.spreadsheets.listings import Cell, Field, Listing, Style
from outreach.units.models import Contact, ContactRole
from outreach.web import mask


def list_work(
    campaign: Campaign, standings: Sequence[Standing], viewer: User, *, with_phones: bool = False
) -> Listing:
    """Units with their coordinator, whose number is masked unless `with_phones` was granted."""
    contacts = _coordinators(campaign)
    fields = (
        Field(_("单位"), width=34),
        Field(_("板块"), width=20),
        Field(_("状态"), width=12),
        Field(_("劝募人"), width=10),
        Field(_("上年度（元）"), Style.YUAN, 16, is_summed=True),
        Field(_("认捐（元）"), Style.YUAN, 16, is_summed=True),
        Field(_("到账（元）"), Style.YUAN, 16, is_summed=True),
        Field(_("认捐尚差（元）"), Style.YUAN, 16, is_summed=True),
        Field(_("未联系天数"), Style.COUNT, 10),
        Field(_("下一步"), width=30),
        Field(_("下一步日期"), Style.DAY, 12),
        Field(_("暂缓至"), Style.DAY, 12),
        Field(_("联络员"), width=10),
        Field(_("电话"), width=16),
    )
    rows = [
        (*_standing_row(standing, viewer), *_contact(contacts, standing, with_phones))
        for standing in standings
    ]
    return Listing(_("劝募单位"), fields, rows)


def _standing_row(standing: Standing, viewer: User) -> Sequence[Cell]:
    solicitation = standing.solicitation
    return (
        name_in_file(solicitation.unit, viewer),
        solicitation.sector.name,
        standing.status.label,
        solicitation.solicitor.name if solicitation.solicitor else _("未指定"),
        standing.previous_fen,
        standing.pledged_fen,
        standing.given_fen,
        standing.missing_fen,
        standing.days_silent,
        solicitation.next_action,
        solicitation.next_action_on,
        solicitation.snoozed_until,
    )


def _contact(contacts: dict[int, Contact], standing: Standing, with_phones: bool) -> Sequence[Cell]:
    contact = contacts.get(standing.solicitation.unit_id)
    if contact is None:
        return ("", "")
    number = contact.mobile.removeprefix("+86")
    return (contact.name, number if with_phones else mask(contact.mobile))


def _coordinators(campaign: Campaign) -> dict[int, Contact]:
    """The one who answers for each unit today, by unit."""
    today = clock.today()
    found = db.session.scalars(
        sa.select(Contact)
        .join(Solicitation, Solicitation.unit_id == Contact.unit_id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Contact.role == ContactRole.COORDINATOR,
            Contact.valid_from <= today,
            sa.or_(Contact.valid_to.is_(None), Contact.valid_to >= today),
        )
        .order_by(Contact.id.desc())
    )
    return {contact.unit_id: contact for contact in found}
