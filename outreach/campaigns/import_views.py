"""Taking in the register in the browser."""

from http import HTTPStatus

from flask import g, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from outreach.campaigns.import_pages import ImportPages, pages_of
from outreach.campaigns.importing import apply_register, plan_register
from outreach.campaigns.register import LAYOUT, SAMPLE_HEADER, SAMPLE_ROWS
from outreach.campaigns.undoing import describe_register, undo_register
from outreach.campaigns.views import bp
from outreach.db import db
from outreach.spreadsheets import progress
from outreach.spreadsheets.progress import Stage
from outreach.spreadsheets.writing import make_sample
from outreach.units.journal import plan_undo
from outreach.units.models import ImportKind
from outreach.units.queries import get_batch, select_batches
from outreach.web import page_number

PER_PAGE = 30

PAGES = ImportPages(
    kind=ImportKind.UNITS,
    layout=LAYOUT,
    plan=plan_register,
    apply=apply_register,
    plan_undo=plan_undo,
    undo_batch=undo_register,
    describe=describe_register,
    templates="campaigns",
    upload_endpoint="campaigns.import_register",
    preview_endpoint="campaigns.preview_register",
    sample_endpoint="campaigns.register_sample",
    marked_endpoint="campaigns.marked_register",
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


@bp.get("/units/import/<sha256>/marked.xlsx")
def marked_register(sha256: str) -> ResponseReturnValue:
    return PAGES.marked(sha256)


@bp.get("/imports")
def list_imports() -> ResponseReturnValue:
    batches = db.paginate(
        select_batches(g.campaign.id), page=page_number(), per_page=PER_PAGE, error_out=False
    )
    return render_template(
        "campaigns/imports.html",
        batches=batches,
        page_url=lambda number: url_for(".list_imports", page=number),
    )


@bp.get("/imports/progress/<key>")
def import_progress(key: str) -> ResponseReturnValue:
    """How far the import is that runs under the key; without content when none does."""
    told = progress.read(key, current_user.id)
    if told is None:
        return "", HTTPStatus.NO_CONTENT
    stage = Stage(told["stage"])  # type: ignore[call-arg]
    return told | {"label": str(stage.label)}


@bp.get("/imports/<int:batch_id>")
def show_import(batch_id: int) -> ResponseReturnValue:
    batch = get_batch(g.campaign.id, batch_id)
    return pages_of(batch).show(batch)


@bp.post("/imports/<int:batch_id>/undo")
def undo_import(batch_id: int) -> ResponseReturnValue:
    batch = get_batch(g.campaign.id, batch_id)
    return pages_of(batch).undo(batch)


@bp.get("/units/import/sample.xlsx")
def register_sample() -> ResponseReturnValue:
    return PAGES.sample("单位名册样表", make_sample("单位名册", SAMPLE_HEADER, SAMPLE_ROWS))
