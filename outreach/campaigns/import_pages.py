"""The pages on which a file is taken in: upload, preview, confirmation. What the file holds is
the capability's own matter."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from pathlib import PurePath
from typing import Any

from flask import current_app, flash, g, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user
from flask_wtf.file import FileField, FileRequired

from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.forms import Form
from outreach.spreadsheets import progress, uploads
from outreach.spreadsheets.layouts import Layout
from outreach.spreadsheets.marking import mark
from outreach.spreadsheets.progress import Stage
from outreach.spreadsheets.reading import SourceFile, read
from outreach.units.importing import Plan
from outreach.units.journal import Undoing
from outreach.units.models import ImportBatch, ImportKind
from outreach.units.queries import select_batches
from outreach.units.rendering import summarise

MOST_SHOWN = 200
"""Rows of a list on the preview."""
MOST_LATEST = 10
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class UploadForm(Form):
    file = FileField(_("文件"), [FileRequired(_("请选择一个 .xlsx 或 .csv 文件。"))])


@dataclass(frozen=True)
class FilePages:
    """Upload, preview, confirmation."""

    kind: ImportKind
    layout: Layout
    plan: Callable[..., Plan]
    apply: Callable[..., Plan]
    templates: str
    """The folder of import.html and import_preview.html."""
    upload_endpoint: str
    preview_endpoint: str
    sample_endpoint: str
    marked_endpoint: str

    def upload(self) -> ResponseReturnValue:
        form = UploadForm()
        if not form.validate_on_submit():
            status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
            return self._show_upload(form, status)
        sent = form.file.data
        sha256 = uploads.keep(SourceFile(PurePath(sent.filename).name, sent.read()))
        told_under = request.form.get("progress") or None
        return redirect(url_for(self.preview_endpoint, sha256=sha256, progress=told_under))

    def preview(self, sha256: str) -> ResponseReturnValue:
        file = uploads.take(sha256)
        try:
            with self._reporting(progress.PREVIEW):
                plan = self.plan(g.campaign, file)
        except Refused as refusal:
            form = UploadForm()
            form.file.errors = [refusal.message]
            return self._show_upload(form, HTTPStatus.UNPROCESSABLE_ENTITY)
        return render_template(
            f"{self.templates}/import_preview.html",
            pages=self,
            plan=plan,
            summary=summarise(plan, is_dry_run=True),
            most_shown=MOST_SHOWN,
        )

    def marked(self, sha256: str) -> ResponseReturnValue:
        """The refused file with its problems written beside the rows."""
        file = uploads.take(sha256)
        plan = self.plan(g.campaign, file)
        content = mark(read(file), plan.tables, plan.problems)
        return self.sample(f"{PurePath(file.name).stem}（标注问题）", content)

    def confirm(self, sha256: str) -> ResponseReturnValue:
        file = uploads.take(sha256)
        fingerprint = request.form.get("fingerprint", "")
        try:
            with self._reporting((*progress.PREVIEW, *self.writing_stages)):
                plan = self.apply(g.campaign, file, by=current_user, fingerprint=fingerprint)
                db.session.commit()
        except Conflict as conflict:
            db.session.rollback()
            flash(conflict.message, "warning")
            return redirect(url_for(self.preview_endpoint, sha256=sha256))
        if plan.is_refused:
            return redirect(url_for(self.preview_endpoint, sha256=sha256))
        uploads.remove(sha256)
        flash(summarise(plan, is_dry_run=False), "info" if plan.is_empty else "success")
        return redirect(self.done_url)

    @property
    def writing_stages(self) -> Sequence[Stage]:
        """What comes after the stages of a preview."""
        return (Stage.WRITING,)

    @property
    def done_url(self) -> str:
        """The page after the confirmation."""
        return url_for(self.upload_endpoint)

    def list_latest(self) -> Sequence[Any]:
        """What was taken in last, as the page of the upload shows it."""
        latest = select_batches(g.campaign.id, self.kind).limit(MOST_LATEST)
        return db.session.scalars(latest).all()

    def sample(self, name: str, content: bytes) -> ResponseReturnValue:
        return send_file(
            BytesIO(content), mimetype=XLSX, as_attachment=True, download_name=f"{name}.xlsx"
        )

    def _reporting(self, stages: Sequence[Stage]) -> AbstractContextManager[None]:
        """Under the key that the page has made; one that has none is told nothing."""
        # The form's own first: the address may still have that of the page before.
        key = request.form.get("progress") or request.args.get("progress", "")
        return progress.reporting(key, current_user.id, stages)

    def _show_upload(self, form: Any, status: HTTPStatus) -> ResponseReturnValue:
        page = render_template(
            f"{self.templates}/import.html",
            pages=self,
            form=form,
            batches=self.list_latest(),
            most_megabytes=current_app.config["MAX_CONTENT_LENGTH"] // 1024**2,
        )
        return page, status


@dataclass(frozen=True)
class ImportPages(FilePages):
    """Those of a file whose import can be taken back; `templates` has import_batch.html, too."""

    plan_undo: Callable[[ImportBatch], Undoing]
    undo_batch: Callable[..., Undoing]
    describe: Callable[[ImportBatch], Any]
    """What the page of a batch shows of what it did."""

    def show(self, batch: ImportBatch) -> ResponseReturnValue:
        return render_template(
            f"{self.templates}/import_batch.html",
            pages=self,
            batch=batch,
            content=self.describe(batch),
            undoing=None if batch.undone_at else self.plan_undo(batch),
            most_shown=MOST_SHOWN,
        )

    def undo(self, batch: ImportBatch) -> ResponseReturnValue:
        page = url_for("campaigns.show_import", batch_id=batch.id)
        try:
            self.undo_batch(batch, by=current_user)
        except (Conflict, Refused) as refusal:
            db.session.rollback()
            flash(refusal.message, "warning")
            return redirect(page)
        db.session.commit()
        flash(_("已撤销导入“%(file)s”。文件可以再次导入。", file=batch.file_name), "success")
        return redirect(page)


def pages_of(batch: ImportBatch) -> ImportPages:
    """Those of what the batch holds; the composition root names them all."""
    pages: Mapping[ImportKind, ImportPages] = current_app.extensions["outreach.imports"]
    return pages[batch.kind]
