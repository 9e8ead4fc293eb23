"""Files of the pages on money."""

from flask import g, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach.campaigns.export_pages import send_listings
from outreach.gifts import exports, ledger, reconciliation
from outreach.gifts.comparison import compare_years
from outreach.gifts.group_views import bp
from outreach.gifts.ledger_views import choose_units
from outreach.gifts.queries import GiftFilter


@bp.get("/gifts/export")
def export_gifts() -> ResponseReturnValue:
    wanted = GiftFilter.read(request.args)
    return send_listings(_("到账明细"), exports.list_ledger(g.campaign, wanted, current_user))


@bp.get("/gifts/comparison/export")
def export_comparison() -> ResponseReturnValue:
    comparison = compare_years(g.campaign)
    units = choose_units(comparison.units)
    listings = exports.list_comparison(comparison, units, current_user)
    return send_listings(_("与上年相比"), listings)


@bp.get("/gifts/reconciliation/export")
def export_reconciliation() -> ResponseReturnValue:
    listings = exports.list_reconciliation(
        ledger.check_ledger(g.campaign),
        reconciliation.list_residuals(g.campaign),
        reconciliation.compare_stated(g.campaign),
    )
    return send_listings(_("对账"), listings)
