"""Pages of the robots of WeCom groups."""

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from outreach import jobs
from outreach.db import db
from outreach.errors import Refused
from outreach.messages import robots
from outreach.messages.models import WecomRobot
from outreach.messages.queries import explain
from outreach.messages.robots import Group
from outreach.settings.robot_forms import NewRobotForm, RobotForm
from outreach.settings.robot_groups import GroupChoice, list_choices, list_groups
from outreach.settings.views import bp


@bp.get("/robots")
def list_robots() -> ResponseReturnValue:
    rows = robots.list_robots()
    return render_template(
        "settings/robots.html",
        robots=rows,
        groups={choice.group: choice for choice in list_groups()},
        group_of=_group_of,
        last_messages=robots.last_messages(rows),
        explain=explain,
    )


@bp.route("/robots/new", methods=["GET", "POST"])
def create_robot() -> ResponseReturnValue:
    form = NewRobotForm()
    form.offer(list_choices(Group()))
    if form.validate_on_submit() and _save(form, None):
        flash(_("群机器人已添加。请发一条测试消息，看群里能不能收到。"), "success")
        return redirect(url_for("settings.list_robots"))
    return render_template("settings/robot.html", form=form, robot=None)


@bp.route("/robots/<int:robot_id>", methods=["GET", "POST"])
def edit_robot(robot_id: int) -> ResponseReturnValue:
    robot = robots.get_robot(robot_id)
    group = _group_of(robot)
    form = RobotForm(
        data={"name": robot.name, "group": GroupChoice(group, "").value, "is_on": robot.is_on}
    )
    form.offer(list_choices(group))
    if form.validate_on_submit() and _save(form, robot):
        flash(_("群机器人已修改。"), "success")
        return redirect(url_for("settings.list_robots"))
    return render_template("settings/robot.html", form=form, robot=robot)


@bp.post("/robots/<int:robot_id>/test")
def test_robot(robot_id: int) -> ResponseReturnValue:
    robots.queue_test(robots.get_robot(robot_id))
    db.session.commit()
    jobs.wake("deliver")
    flash(_("测试消息正在发出。稍后刷新本页，可以看到结果。"), "success")
    return redirect(url_for("settings.list_robots"))


@bp.post("/robots/<int:robot_id>/delete")
def delete_robot(robot_id: int) -> ResponseReturnValue:
    robots.delete_robot(robots.get_robot(robot_id))
    db.session.commit()
    flash(_("群机器人已删除，不再向这个群发消息。"), "success")
    return redirect(url_for("settings.list_robots"))


def _save(form: RobotForm, robot: WecomRobot | None) -> bool:
    """False when the name or the key is taken: the form says so at its field."""
    try:
        robots.save_robot(
            robot,
            name=form.name.data,
            key=form.key.data,
            group=form.chosen_group(),
            is_on=form.is_on.data,
        )
    except Refused as refusal:
        field = form.key if isinstance(refusal, robots.KeyTaken) else form.name
        field.errors = [refusal.message]
        return False
    db.session.commit()
    return True


def _group_of(robot: WecomRobot) -> Group:
    return Group(robot.campaign_id, robot.sector_id)
