"""Taking in a list of gifts in the browser."""

from functools import partial

from flask.typing import ResponseReturnValue

from outreach.campaigns.import_pages import MOST_SHOWN, ImportPages
from outreach.gifts.importing import apply_gifts, plan_gifts
from outreach.gifts.statement_file import LAYOUT, SAMPLE_HEADER, SAMPLE_ROWS
from outreach.gifts.undoing import list_gifts_of, plan_undo, undo_gifts
from outreach.gifts.views import bp
from outreach.spreadsheets.writing import make_sample
from outreach.units.models import ImportKind

PAGES = ImportPages(
    kind=ImportKind.GIFTS,
    layout=LAYOUT,
    plan=plan_gifts,
    apply=apply_gifts,
    plan_undo=plan_undo,
    undo_batch=undo_gifts,
    describe=partial(list_gifts_of, most=MOST_SHOWN),
    templates="gifts",
    upload_endpoint="gifts.import_gifts",
    preview_endpoint="gifts.preview_gifts",
    sample_endpoint="gifts.gifts_sample",
    marked_endpoint="gifts.marked_gifts",
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


@bp.get("/gifts/import/<sha256>/marked.xlsx")
def marked_gifts(sha256: str) -> ResponseReturnValue:
    return PAGES.marked(sha256)


@bp.get("/gifts/import/sample.xlsx")
def gifts_sample() -> ResponseReturnValue:
    return PAGES.sample("到账明细样表", make_sample("到账明细", SAMPLE_HEADER, SAMPLE_ROWS))
