"""Pages on which a campaign is opened from the one before. Nothing comes along unseen: each is a
preview first, and does exactly what was previewed."""

from http import HTTPStatus

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from wtforms import SelectChoice

from outreach import audit
from outreach.campaigns import opening
from outreach.campaigns.forms import NewCampaignForm
from outreach.campaigns.models import Campaign
from outreach.campaigns.queries import get_campaign_by_id, list_campaigns
from outreach.db import db
from outreach.errors import Refused
from outreach.settings.queries import read_baseline
from outreach.settings.robot_views import bp


@bp.route("/campaigns/new", methods=["GET", "POST"])
def create_campaign() -> ResponseReturnValue:
    form = NewCampaignForm()
    campaigns = {campaign.id: campaign for campaign in list_campaigns()}
    form.previous_id.choices = [
        *(SelectChoice(campaign.id, campaign.name) for campaign in campaigns.values()),
        SelectChoice(0, _("没有")),
    ]
    if not form.validate_on_submit() or not _is_free(form) or "edit" in request.form:
        status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
        return render_template("settings/campaign.html", form=form), status
    previous = campaigns.get(form.previous_id.data)
    if previous and "is_confirmed" not in request.form:
        plan = opening.plan_opening(previous, starts_on=form.starts_on.data)
        return _preview(plan, form=form, campaign=None)
    campaign = opening.open_campaign(
        form.code.data,
        name=form.name.data,
        starts_on=form.starts_on.data,
        ends_on=form.ends_on.data,
        previous=previous,
    )
    audit.record("create.campaign", f"campaign:{campaign.id}", code=campaign.code)
    count = _bring_units(campaign) if previous else 0
    db.session.commit()
    flash(_opened(count), "success")
    return redirect(url_for("campaigns.edit_campaign", campaign_code=campaign.code))


@bp.route("/campaigns/<int:campaign_id>/units", methods=["GET", "POST"])
def bring_units(campaign_id: int) -> ResponseReturnValue:
    campaign = get_campaign_by_id(campaign_id)
    if campaign.previous is None:
        raise Refused(_("“%(name)s”没有上年度活动，没有可带入的单位。", name=campaign.name))
    if request.method == "GET":
        plan = opening.plan_opening(campaign.previous, campaign=campaign)
        return _preview(plan, form=None, campaign=campaign)
    count = _bring_units(campaign)
    db.session.commit()
    flash(ngettext("已带入 %(num)d 个单位。", "已带入 %(num)d 个单位。", count), "success")
    return redirect(url_for("overview.sectors", campaign_code=campaign.code))


def _bring_units(campaign: Campaign) -> int:
    included = set(request.form.getlist("include", type=int))
    count = opening.bring_units(
        campaign, include=included, fingerprint=request.form.get("fingerprint", "")
    )
    audit.record("bring.units", f"campaign:{campaign.id}", units=count, included=sorted(included))
    return count


def _preview(
    plan: opening.OpeningPlan, *, form: NewCampaignForm | None, campaign: Campaign | None
) -> ResponseReturnValue:
    return render_template(
        "settings/opening.html",
        plan=plan,
        form=form,
        new_campaign=campaign,
        baseline=read_baseline(plan.previous),
    )


def _is_free(form: NewCampaignForm) -> bool:
    try:
        opening.check_code(form.code.data)
    except Refused as refusal:
        form.code.errors = [refusal.message]
        return False
    return True


def _opened(count: int) -> str:
    if not count:
        return str(_("活动已建立，状态为筹备中。请填写目标，再导入单位名册。"))
    return ngettext(
        "活动已建立，状态为筹备中，带入 %(num)d 个单位。请填写目标。",
        "活动已建立，状态为筹备中，带入 %(num)d 个单位。请填写目标。",
        count,
    )
