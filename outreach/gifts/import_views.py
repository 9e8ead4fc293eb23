"""Taking in a list of gifts in the browser."""

from flask.typing import ResponseReturnValue

from outreach.campaigns.import_pages import ImportPages
from outreach.gifts.importing import apply_gifts, plan_gifts
from outreach.gifts.statement_file import LAYOUT, SAMPLE_HEADER, SAMPLE_ROWS
from outreach.gifts.views import bp
from outreach.spreadsheets.writing import make_sample
from outreach.units.models import ImportKind

PAGES = ImportPages(
    kind=ImportKind.GIFTS,
    layout=LAYOUT,
    plan=plan_gifts,
    apply=apply_gifts,
    templates="gifts",
    upload_endpoint="gifts.import_gifts",
    preview_endpoint="gifts.preview_gifts",
    sample_endpoint="gifts.gifts_sample",
)


@bp.route("/gifts/import", methods=["GET", "POST"])
def import_gifts() -> ResponseReturnValue:
    return PAGES.upload()


@bp.get("/gifts/import/<sha256>")
def preview_gifts(sha256: str) -> ResponseReturnValue:
    return PAGES.preview(sha256)


@bp.post("/gifts/import/<sha256>")
def apply_previewed_gifts(sha256: str) -> ResponseReturnValue:
    return PAGES.confirm(sha256)


@bp.get("/gifts/import/sample.xlsx")
def gifts_sample() -> ResponseReturnValue:
    return PAGES.sample("到账明细样表", make_sample("到账明细", SAMPLE_HEADER, SAMPLE_ROWS))
