from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user
from wtforms import SelectChoice

from outreach import audit, clock, jobs
from outreach.accounts import services as accounts
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.errors import Refused
from outreach.forms import check_version
from outreach.settings import queries, services
from outreach.settings.actions import ACTIONS, describe_action, describe_subject
from outreach.settings.forms import NewUserForm, PeriodForm, SpecialDaysForm, UserForm
from outreach.web import external_url, page_number

bp = Blueprint("settings", __name__, url_prefix="/settings")
bp.add_app_template_filter(describe_action, "audit_action")
bp.add_app_template_filter(describe_subject, "audit_subject")


@bp.get("/")
def index() -> ResponseReturnValue:
    return render_template(
        "settings/index.html",
        missing_year=queries.missing_year(clock.today()),
        is_embedded=current_app.extensions["outreach.settings"].is_embedded,
    )


@bp.get("/users")
def list_users() -> ResponseReturnValue:
    return render_template("settings/users.html", users=accounts.list_users())


@bp.route("/users/new", methods=["GET", "POST"])
def create_user() -> ResponseReturnValue:
    form = NewUserForm(is_enabled=True)
    campaigns = _offer_sectors(form)
    if form.validate_on_submit():
        try:
            return _show_invitation(accounts.create_user(form.username.data, form.profile()))
        except Refused as refusal:
            form.username.errors = [refusal.message]
    return render_template("settings/user.html", form=form, user=None, campaigns=campaigns)


@bp.route("/users/<int:user_id>", methods=["GET", "POST"])
def edit_user(user_id: int) -> ResponseReturnValue:
    user = accounts.get_user(user_id)
    form = UserForm(data=vars(accounts.profile_of(user)))
    campaigns = _offer_sectors(form)
    if form.validate_on_submit():
        check_version(user.version)
        accounts.update_user(user, form.profile())
        db.session.commit()
        flash(_("用户已修改。"), "success")
        return redirect(url_for("settings.list_users"))
    return render_template("settings/user.html", form=form, user=user, campaigns=campaigns)


@bp.post("/users/<int:user_id>/invitation")
def invite_user(user_id: int) -> ResponseReturnValue:
    return _show_invitation(accounts.get_user(user_id))


@bp.get("/calendar")
def calendar() -> ResponseReturnValue:
    year = clock.today().year
    return render_template(
        "settings/calendar.html",
        years=[queries.describe_year(year), queries.describe_year(year + 1)],
        missing_year=queries.missing_year(clock.today()),
        form=SpecialDaysForm(),
    )


@bp.post("/calendar/days")
def edit_day() -> ResponseReturnValue:
    form = SpecialDaysForm()
    _require(form)
    services.enter_days(
        form.first.data,
        form.last.data or form.first.data,
        is_workday=form.kind.data == "work",
        note=form.note.data or "",
    )
    db.session.commit()
    flash(_("日历已更新。"), "success")
    return redirect(url_for("settings.calendar"))


@bp.post("/calendar/days/remove")
def remove_day() -> ResponseReturnValue:
    form = PeriodForm()
    _require(form)
    services.remove_days(form.first.data, form.last.data or form.first.data)
    db.session.commit()
    flash(_("已恢复为公布的安排。"), "success")
    return redirect(url_for("settings.calendar"))


@bp.post("/calendar/years/<int:year>")
def confirm_year(year: int) -> ResponseReturnValue:
    if request.form.get("withdraw"):
        services.withdraw_confirmation(year)
    else:
        services.confirm_year(year, current_user)
    db.session.commit()
    return redirect(url_for("settings.calendar"))


@bp.get("/timetable")
def timetable() -> ResponseReturnValue:
    return render_template(
        "settings/timetable.html", jobs=jobs.timetable(), last_runs=jobs.last_runs()
    )


@bp.get("/audit")
def audit_trail() -> ResponseReturnValue:
    user_id, action = request.args.get("user", type=int), request.args.get("action", "")
    return render_template(
        "settings/audit_trail.html",
        events=db.paginate(
            audit.select_events(user_id=user_id, action=action),
            page=page_number(),
            per_page=50,
            error_out=False,
        ),
        users=accounts.list_users(),
        user_id=user_id,
        action=action,
        actions=ACTIONS,
    )


@bp.get("/audit/check")
def check_audit_trail() -> ResponseReturnValue:
    return render_template("settings/_audit_check.html", tampered_id=audit.find_tampering())


def _show_invitation(user: User) -> ResponseReturnValue:
    link = external_url("accounts.accept_invitation", token=accounts.invite(user))
    db.session.commit()
    return render_template("settings/invitation.html", user=user, link=link)


def _offer_sectors(form: UserForm) -> list[Campaign]:
    campaigns = queries.list_campaigns_with_sectors()
    form.sector_ids.choices = [
        SelectChoice(sector.id, sector.name)
        for campaign in campaigns
        for sector in campaign.sectors
    ]
    return campaigns


def _require(form: PeriodForm) -> None:
    """These forms have one place only, beside the calendar: errors are shown above it."""
    if not form.validate():
        raise Refused(next(iter(form.errors.values()))[0])
