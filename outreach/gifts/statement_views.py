"""Taking in a statement of a bank or a payment platform in the browser."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach.campaigns.import_pages import MOST_LATEST, MOST_SHOWN, FilePages
from outreach.db import db
from outreach.errors import Conflict, NotFound, Refused
from outreach.gifts import column_choices, statement_undoing
from outreach.gifts.column_choices import LABELS, Heading
from outreach.gifts.line_views import bp
from outreach.gifts.models import Statement
from outreach.gifts.payments import LAYOUT, SAMPLE_HEADER, SAMPLE_ROWS
from outreach.gifts.statements import (
    apply_statement,
    get_statement,
    list_statements,
    plan_statement,
)
from outreach.spreadsheets import cells, reading, uploads
from outreach.spreadsheets.progress import Stage
from outreach.spreadsheets.reading import Sheet
from outreach.spreadsheets.writing import make_sample
from outreach.units.models import ImportKind

NOT_USED = ""
"""What is chosen for a column that says nothing."""


@dataclass(frozen=True)
class StatementPages(FilePages):
    @property
    def writing_stages(self) -> Sequence[Stage]:
        return (Stage.WRITING, Stage.MATCHING)

    @property
    def done_url(self) -> str:
        return url_for("gifts.list_lines")

    def list_latest(self) -> Sequence[Statement]:
        return list_statements(g.campaign, MOST_LATEST)


PAGES = StatementPages(
    kind=ImportKind.STATEMENT,
    layout=LAYOUT,
    plan=plan_statement,
    apply=apply_statement,
    templates="gifts/statements",
    upload_endpoint="gifts.import_statement",
    preview_endpoint="gifts.preview_statement",
    sample_endpoint="gifts.statement_sample",
    marked_endpoint="gifts.marked_statement",
)


@bp.route("/gifts/statements/import", methods=["GET", "POST"])
def import_statement() -> ResponseReturnValue:
    return PAGES.upload()


@bp.get("/gifts/statements/import/<sha256>")
def preview_statement(sha256: str) -> ResponseReturnValue:
    return PAGES.preview(sha256)


@bp.post("/gifts/statements/import/<sha256>")
def apply_previewed_statement(sha256: str) -> ResponseReturnValue:
    return PAGES.confirm(sha256)


@bp.get("/gifts/statements/import/<sha256>/marked.xlsx")
def marked_statement(sha256: str) -> ResponseReturnValue:
    return PAGES.marked(sha256)


@bp.get("/gifts/statements/import/sample.xlsx")
def statement_sample() -> ResponseReturnValue:
    content = make_sample("到账流水", SAMPLE_HEADER, SAMPLE_ROWS)
    return PAGES.sample("到账流水样表", content)


@bp.route("/gifts/statements/<int:statement_id>/undo", methods=["GET", "POST"])
def undo_statement(statement_id: int) -> ResponseReturnValue:
    statement = get_statement(g.campaign, statement_id)
    if request.method == "GET":
        return render_template(
            "gifts/statements/undo.html",
            statement=statement,
            undoing=statement_undoing.plan_undo(statement),
            most_shown=MOST_SHOWN,
        )
    name = statement.file_name
    try:
        statement_undoing.undo_statement(statement)
    except Conflict as conflict:
        db.session.rollback()
        flash(conflict.message, "warning")
        return redirect(url_for(".undo_statement", statement_id=statement_id))
    db.session.commit()
    flash(_("已撤销导入“%(file)s”。文件可以再次导入。", file=name), "success")
    return redirect(url_for(".import_statement"))


@bp.route("/gifts/statements/import/<sha256>/columns", methods=["GET", "POST"])
def choose_columns(sha256: str) -> ResponseReturnValue:
    """Which column is what, where the titles do not say so."""
    file = uploads.take(sha256)
    sheet = column_choices.take_sheet(reading.read(file))
    heading = _wanted_heading(sheet)
    if request.method == "GET":
        return _show_columns(sha256, sheet, heading, column_choices.propose_fields(heading))
    chosen = {index: request.form.get(f"column-{index}", NOT_USED) for index in heading.keys}
    fields = {index: name for index, name in chosen.items() if name in LABELS}
    try:
        column_choices.choose_columns(heading, fields, file_name=file.name, by=current_user)
    except Refused as refusal:
        page = _show_columns(sha256, sheet, heading, fields, refusal)
        return page, HTTPStatus.UNPROCESSABLE_ENTITY
    db.session.commit()
    flash(_("已记住各列的对应，下次同样的表头会直接使用。"), "success")
    return redirect(url_for(".preview_statement", sha256=sha256))


@bp.post("/gifts/statements/import/<sha256>/columns/forget")
def forget_columns(sha256: str) -> ResponseReturnValue:
    sheet = column_choices.take_sheet(reading.read(uploads.take(sha256)))
    column_choices.forget_choice(_wanted_heading(sheet))
    db.session.commit()
    flash(_("已恢复自动识别。"), "success")
    return redirect(url_for(".preview_statement", sha256=sha256))


def _wanted_heading(sheet: Sheet) -> Heading:
    """The one that the address names, or else one of which something was said, or a guess."""
    headings = column_choices.list_headings(sheet)
    name = request.values.get("heading")
    if name is None:
        choice = column_choices.find_choice(sheet)
        said = (row for row in headings if choice and row.fingerprint == choice.fingerprint)
        return next(said, None) or column_choices.guess_heading(sheet)
    found = next((heading for heading in headings if heading.name == name), None)
    if found is None:
        raise NotFound(_("文件里没有这一行列名。请从列表中选择。"))
    return found


def _show_columns(
    sha256: str,
    sheet: Sheet,
    heading: Heading,
    fields: dict[int, str],
    refusal: Refused | None = None,
) -> str:
    samples = {
        index: [cells.shown(value) for value in heading.samples(sheet, index)]
        for index in heading.keys
    }
    return render_template(
        "gifts/statements/columns.html",
        sha256=sha256,
        headings=column_choices.list_headings(sheet),
        heading=heading,
        samples=samples,
        fields=fields,
        labels=LABELS,
        refusal=refusal,
        choice=column_choices.find_choice(sheet),
    )
