"""Templates and their versions. A version is never edited: approvals refer to it."""

import difflib
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import selectinload

from outreach import audit, clock
from outreach.db import db
from outreach.errors import NotFound, Refused
from outreach.messages import linting
from outreach.messages.channels.sms import signed
from outreach.messages.models import Channel, Template, TemplateVersion


@dataclass(frozen=True)
class Wording:
    """What a version keeps."""

    subject: str
    body: str
    provider_template: str = ""


@dataclass(frozen=True)
class Piece:
    """A part of a text that two versions share, or that only the old or the new one has."""

    text: str
    kind: Literal["same", "gone", "new"]


def list_templates(*, is_archived: bool = False) -> list[Template]:
    """With their versions, in the order of channels and names."""
    return list(
        db.session.scalars(
            sa.select(Template)
            .filter_by(is_archived=is_archived)
            .options(selectinload(Template.versions))
            .order_by(Template.channel, Template.name)
        )
    )


def get_template(template_id: int) -> Template:
    template = db.session.get(Template, template_id)
    if template is None:
        raise NotFound(_("没有这个模板。"))
    return template


def create_template(*, name: str, channel: Channel, wording: Wording, by: Any) -> Template:
    _check_name(name)
    _check_text(channel, wording)
    template = Template(name=name, channel=channel)
    db.session.add(template)
    _add_version(template, 1, wording, by)
    db.session.flush()
    audit.record("create.template", f"template:{template.id}", name=name)
    return template


def rewrite_template(template: Template, *, name: str, wording: Wording, by: Any) -> None:
    """Keeps a changed text, or another number at the provider, as a new version; the name may
    change by itself."""
    if name != template.name:
        _check_name(name)
        template.name = name
    latest = template.versions[-1]
    if wording == wording_of(latest):
        return
    _check_text(template.channel, wording)
    _add_version(template, latest.number + 1, wording, by)
    db.session.flush()
    audit.record("rewrite.template", f"template:{template.id}", number=latest.number + 1)


def wording_of(version: TemplateVersion) -> Wording:
    return Wording(version.subject, version.body, version.provider_template)


def archive_template(template: Template) -> None:
    """Takes it off the list that waves choose from; waves that have it keep it."""
    template.is_archived = True
    audit.record("archive.template", f"template:{template.id}", name=template.name)


def restore_template(template: Template) -> None:
    template.is_archived = False
    audit.record("restore.template", f"template:{template.id}", name=template.name)


def find_version(template: Template, number: int | None) -> TemplateVersion | None:
    return next((version for version in template.versions if version.number == number), None)


def compare_texts(old: str, new: str) -> list[Piece]:
    """The new text with what was taken out and put in, clause by clause: Chinese has no words to
    compare by, and a paragraph is too much to see a change in."""
    before, after = _CLAUSE.findall(old), _CLAUSE.findall(new)
    pieces = []
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("".join(before[start:end]), "same"))
            continue
        pieces.append(Piece("".join(before[start:end]), "gone"))
        pieces.append(Piece("".join(after[new_start:new_end]), "new"))
    return [piece for piece in pieces if piece.text]


_END = r"\uff0c\u3002\uff1b\uff1a\uff01\uff1f,.;:!?"
_CLAUSE = re.compile(rf"[^{_END}\n]+[{_END}]?|[{_END}]|\n")


def draft_version(channel: Channel, subject: str, body: str) -> TemplateVersion:
    """A text as a version that is not kept, for previews."""
    template = Template(name="", channel=channel)
    return TemplateVersion(template=template, subject=subject, body=body, provider_template="")


def sms_signature() -> str:
    """How text messages are signed."""
    return signed(current_app.extensions["outreach.settings"].sms_signature)


def _add_version(template: Template, number: int, wording: Wording, by: Any) -> None:
    template.versions.append(
        TemplateVersion(
            number=number,
            **asdict(wording),
            created_at=clock.now(),
            created_by_id=by.id,
        )
    )


def _check_name(name: str) -> None:
    is_archived = db.session.scalar(sa.select(Template.is_archived).filter_by(name=name))
    if is_archived:
        raise Refused(_("已归档的模板里有“%(name)s”。请换一个名称，或恢复那个模板。", name=name))
    if is_archived is not None:
        raise Refused(_("已有名为“%(name)s”的模板。请换一个名称。", name=name))


def _check_text(channel: Channel, wording: Wording) -> None:
    findings = linting.lint(channel, wording.subject, wording.body, signature=sms_signature())
    refusals = linting.refusals(findings)
    if refusals:
        raise Refused(refusals[0].message)
