"""Taking in the register in the browser."""

from flask.typing import ResponseReturnValue

from outreach.campaigns.import_pages import ImportPages
from outreach.campaigns.importing import apply_register, plan_register
from outreach.campaigns.register import LAYOUT, SAMPLE_HEADER, SAMPLE_ROWS
from outreach.campaigns.views import bp
from outreach.spreadsheets.writing import make_sample
from outreach.units.models import ImportKind

PAGES = ImportPages(
    kind=ImportKind.UNITS,
    layout=LAYOUT,
    plan=plan_register,
    apply=apply_register,
    templates="campaigns",
    upload_endpoint="campaigns.import_register",
    preview_endpoint="campaigns.preview_register",
    sample_endpoint="campaigns.register_sample",
)


@bp.route("/units/import", methods=["GET", "POST"])
def import_register() -> ResponseReturnValue:
    return PAGES.upload()


@bp.get("/units/import/<sha256>")
def preview_register(sha256: str) -> ResponseReturnValue:
    return PAGES.preview(sha256)


@bp.post("/units/import/<sha256>")
def apply_previewed_register(sha256: str) -> ResponseReturnValue:
    return PAGES.confirm(sha256)


@bp.get("/units/import/sample.xlsx")
def register_sample() -> ResponseReturnValue:
    return PAGES.sample("单位名册样表", make_sample("单位名册", SAMPLE_HEADER, SAMPLE_ROWS))
