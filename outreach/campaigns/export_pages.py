"""Lists of a campaign as files: what every page that hands one out has in common."""

from collections.abc import Sequence
from io import BytesIO

from flask import g, request, send_file
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach import access, audit, clock
from outreach.accounts.models import User
from outreach.campaigns.import_pages import XLSX
from outreach.db import writing
from outreach.spreadsheets.listings import Listing, write_csv, write_xlsx
from outreach.units.models import Unit, UnitKind

CSV = "text/csv; charset=utf-8"
HOW = {"as", "table"}
"""What an address says of the file itself."""
DEMO = _("演示数据，单位、人员和单位级金额均为生成")


def send_listings(
    name: LazyString, listings: Sequence[Listing], **facts: str
) -> ResponseReturnValue:
    """A .xlsx with all of them or, where the address asks for «as=csv», the one that it names by
    «table». The audit trail keeps who took what, with the `facts`; nothing else is written."""
    campaign = g.campaign
    stem = f"{campaign.code}-{name}-{clock.today():%Y%m%d}"
    is_csv = request.args.get("as") == "csv"
    if is_csv:
        listing = _chosen(listings)
        listings = [listing]
        content, kind = write_csv(listing), CSV
        stem = f"{stem}-{listing.name}"
    else:
        content, kind = write_xlsx(campaign.name, _note(), listings), XLSX
    with writing():
        audit.record(
            "export.list",
            f"campaign:{campaign.id}",
            list=request.endpoint,
            format="csv" if is_csv else "xlsx",
            rows=sum(len(listing.rows) for listing in listings),
            asked=_asked(),
            **facts,
        )
    extension = "csv" if is_csv else "xlsx"
    return send_file(
        BytesIO(content), mimetype=kind, as_attachment=True, download_name=f"{stem}.{extension}"
    )


def name_in_file(unit: Unit, viewer: User) -> str:
    """The unit's name as it may leave the house: that of an army unit goes to the office only,
    others read its public label."""
    if unit.kind is not UnitKind.ARMY or viewer.role in access.OFFICE:
        return unit.name
    return unit.public_name or str(UnitKind.ARMY.label)


def _chosen(listings: Sequence[Listing]) -> Listing:
    number = request.args.get("table", 1, type=int)
    return listings[number - 1] if 1 <= number <= len(listings) else listings[0]


def _note() -> str:
    parts = [
        str(
            _(
                "%(name)s 于 %(at)s 导出",
                name=current_user.name,
                at=f"{clock.local(clock.now()):%Y-%m-%d %H:%M}",
            )
        )
    ]
    if request.args.keys() - HOW:
        parts.append(str(_("按页面上的条件筛选")))
    if g.campaign.is_demo:
        parts.append(str(DEMO))
    return " · ".join(parts)


def _asked() -> dict[str, str]:
    """The filters in the address; what was searched for may be a person's number and stays out."""
    return {name: text for name, text in request.args.items() if name not in HOW | {"q"}}
