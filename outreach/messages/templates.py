"""Templates and their versions. A version is never edited: approvals refer to it."""

from typing import Any

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import selectinload

from outreach import audit, clock
from outreach.db import db
from outreach.errors import NotFound, Refused
from outreach.messages import rendering
from outreach.messages.models import Channel, Template, TemplateVersion


def list_templates() -> list[Template]:
    """With their versions, in the order of channels and names."""
    return list(
        db.session.scalars(
            sa.select(Template)
            .filter_by(is_archived=False)
            .options(selectinload(Template.versions))
            .order_by(Template.channel, Template.name)
        )
    )


def get_template(template_id: int) -> Template:
    template = db.session.get(Template, template_id)
    if template is None:
        raise NotFound(_("没有这个模板。"))
    return template


def create_template(*, name: str, channel: Channel, subject: str, body: str, by: Any) -> Template:
    _check_name(name)
    _check_text(channel, subject, body)
    template = Template(name=name, channel=channel)
    db.session.add(template)
    _add_version(template, 1, subject, body, by)
    db.session.flush()
    audit.record("create.template", f"template:{template.id}", name=name)
    return template


def rewrite_template(template: Template, *, name: str, subject: str, body: str, by: Any) -> None:
    """Keeps a changed text as a new version; the name may change by itself."""
    if name != template.name:
        _check_name(name)
        template.name = name
    latest = template.versions[-1]
    if (latest.subject, latest.body) == (subject, body):
        return
    _check_text(template.channel, subject, body)
    _add_version(template, latest.number + 1, subject, body, by)
    db.session.flush()
    audit.record("rewrite.template", f"template:{template.id}", number=latest.number + 1)


def draft_version(channel: Channel, subject: str, body: str) -> TemplateVersion:
    """A text as a version that is not kept, for previews."""
    return TemplateVersion(template=Template(name="", channel=channel), subject=subject, body=body)


def sms_signature() -> str:
    """How text messages are signed."""
    return f"【{current_app.extensions['outreach.settings'].mail_sender_name}】"


def _add_version(template: Template, number: int, subject: str, body: str, by: Any) -> None:
    template.versions.append(
        TemplateVersion(
            number=number,
            subject=subject,
            body=body,
            created_at=clock.now(),
            created_by_id=by.id,
        )
    )


def _check_name(name: str) -> None:
    if db.session.scalar(sa.select(Template.id).filter_by(name=name)) is not None:
        raise Refused(_("已有名为“%(name)s”的模板。请换一个名称。", name=name))


def _check_text(channel: Channel, subject: str, body: str) -> None:
    findings = rendering.lint(channel, subject, body, signature=sms_signature())
    refusals = rendering.refusals(findings)
    if refusals:
        raise Refused(refusals[0].message)
