"""Pages and fragments that change where a unit stands, and the campaign's own settings."""

from http import HTTPStatus

from flask import flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach import audit
from outreach.campaigns import forms, services
from outreach.campaigns.fragments import return_to_unit, show_errors
from outreach.campaigns.models import StageCause
from outreach.campaigns.queries import get_solicitation
from outreach.campaigns.scope import campaign_blueprint
from outreach.db import db
from outreach.errors import Refused
from outreach.forms import check_version
from outreach.units.services import count_heads as count_heads_of

bp = campaign_blueprint("campaigns", __name__)
bp.add_app_template_global(forms.list_moves)
bp.add_app_template_global(forms.list_corrections)


@bp.post("/units/<int:unit_id>/stage")
def change_stage(unit_id: int) -> ResponseReturnValue:
    solicitation = get_solicitation(g.campaign, unit_id, current_user)
    form = forms.StageForm()
    if not form.validate_on_submit():
        return show_errors(
            "campaigns/_stage.html", form, solicitation=solicitation, stage_form=form
        )
    check_version(solicitation.version)
    before = solicitation.stage
    services.change_stage(
        solicitation,
        form.to.data,
        cause=StageCause.PERSON,
        by=current_user,
        decline_reason=form.decline_reason.data or None,
        note=form.note.data,
    )
    audit.record(
        "change.stage",
        f"solicitation:{solicitation.id}",
        before=before,
        after=solicitation.stage,
        reason=solicitation.decline_reason,
    )
    db.session.commit()
    return return_to_unit(unit_id, _("进展已改为“%(stage)s”。", stage=solicitation.stage.label))


@bp.post("/units/<int:unit_id>/heads")
def count_heads(unit_id: int) -> ResponseReturnValue:
    solicitation = get_solicitation(g.campaign, unit_id, current_user)
    form = forms.HeadsForm()
    if not form.validate_on_submit():
        raise Refused(next(iter(form.errors.values()))[0])
    count_heads_of(solicitation.unit, g.campaign.id, form.count.data)
    db.session.commit()
    return return_to_unit(unit_id, _("人数已保存。"))


@bp.post("/units/<int:unit_id>/next-action")
def plan_next_action(unit_id: int) -> ResponseReturnValue:
    solicitation = get_solicitation(g.campaign, unit_id, current_user)
    form = forms.NextActionForm()
    if not form.validate_on_submit():
        return show_errors(
            "campaigns/_next_action.html", form, solicitation=solicitation, next_action_form=form
        )
    check_version(solicitation.version)
    services.plan_next_action(
        solicitation,
        action=form.next_action.data,
        on=form.next_action_on.data,
        snoozed_until=form.snoozed_until.data,
    )
    audit.record(
        "plan.next_action",
        f"solicitation:{solicitation.id}",
        on=str(form.next_action_on.data or ""),
        snoozed_until=str(form.snoozed_until.data or ""),
    )
    db.session.commit()
    return return_to_unit(unit_id, _("下一步已保存。"))


@bp.route("/edit", methods=["GET", "POST"])
def edit_campaign() -> ResponseReturnValue:
    campaign = g.campaign
    form = forms.CampaignForm(obj=campaign)
    if not form.validate_on_submit():
        status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
        return render_template("campaigns/edit.html", form=form), status
    check_version(campaign.version)
    facts = {
        field.name: str(field.data)
        for field in form
        if field.name != "csrf_token" and getattr(campaign, field.name) != field.data
    }
    form.populate_obj(campaign)
    audit.record("edit.campaign", f"campaign:{campaign.id}", **facts)
    db.session.commit()
    flash(_("活动设置已保存。"), "success")
    return redirect(url_for("overview.dashboard"))
