"""The work list as a file."""

from flask import g, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach.campaigns.export_pages import send_listings
from outreach.errors import Refused
from outreach.overview.exports import list_work
from outreach.overview.forms import WorklistFilter
from outreach.overview.sector_views import bp
from outreach.overview.views import find_standings
from outreach.units.forms import RevealForm


@bp.get("/c/<campaign_code>/worklist/export")
def export_worklist() -> ResponseReturnValue:
    standings = find_standings(WorklistFilter.read(request.args))
    return send_listings(_("劝募单位"), [list_work(g.campaign, standings, current_user)])


@bp.post("/c/<campaign_code>/worklist/export/phones")
def export_phones() -> ResponseReturnValue:
    """With numbers in full, for a reason that the audit trail keeps."""
    form = RevealForm()
    if not form.validate():
        raise Refused(_("请选择查看号码的用途。"))
    standings = find_standings(WorklistFilter.read(request.args))
    listing = list_work(g.campaign, standings, current_user, with_phones=True)
    return send_listings(_("劝募单位（含电话）"), [listing], reason=form.reason.data.value)
