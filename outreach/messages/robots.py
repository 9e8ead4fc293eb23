"""Robots of WeCom groups: who may be written to, under which name, with which key."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Session

from outreach import audit, clock
from outreach.db import db
from outreach.errors import NotFound, Refused
from outreach.messages import queueing
from outreach.messages.models import Channel, Message, Purpose, WecomRobot
from outreach.messages.queries import sending_state

WORTH_TESTING = timedelta(hours=1)
"""A test that comes later than that says nothing about now."""


class KeyTaken(Refused):
    """Another robot that is switched on has the key."""


@dataclass(frozen=True)
class Group:
    """The group that a robot writes to. Without a sector it is the secretariat's: of one
    campaign, or of all."""

    campaign_id: int | None = None
    sector_id: int | None = None


def list_robots() -> list[WecomRobot]:
    return list(db.session.scalars(sa.select(WecomRobot).order_by(WecomRobot.name)))


def list_for_campaign(campaign_id: int) -> list[WecomRobot]:
    """Those that are switched on and belong to the campaign, or to all."""
    is_its = sa.or_(WecomRobot.campaign_id == campaign_id, WecomRobot.campaign_id.is_(None))
    return list(
        db.session.scalars(
            sa.select(WecomRobot).where(WecomRobot.is_on, is_its).order_by(WecomRobot.id)
        )
    )


def get_robot(robot_id: int) -> WecomRobot:
    robot = db.session.get(WecomRobot, robot_id)
    if robot is None:
        raise NotFound(_("没有这个群机器人，可能已被删除。"))
    return robot


def read_keys() -> dict[str, str]:
    """Keys of the robots that are switched on, by address. In a session of its own: whoever is
    about to send holds no transaction open meanwhile."""
    with Session(db.engine) as session:
        rows = session.execute(
            sa.select(WecomRobot.id, WecomRobot.key).where(WecomRobot.is_on)
        ).all()
    return {WecomRobot.address_of(id_): key for id_, key in rows}


def last_messages(robots: Collection[WecomRobot]) -> dict[str, Message]:
    """The newest message of each robot, by address."""
    newest = (
        sa.select(sa.func.max(Message.id))
        .where(Message.channel == Channel.WECOM, Message.address.in_([r.address for r in robots]))
        .group_by(Message.address)
    )
    rows = db.session.scalars(sa.select(Message).where(Message.id.in_(newest)))
    return {message.address: message for message in rows}


def save_robot(
    robot: WecomRobot | None, *, name: str, key: str, group: Group, is_on: bool
) -> WecomRobot:
    """Adds a robot, or changes `robot`; an empty key leaves the old one. One robot in two rows
    would be written to at twice the pace that its provider takes."""
    taken = db.session.scalar(sa.select(WecomRobot.id).filter_by(name=name))
    if taken is not None and (robot is None or taken != robot.id):
        raise Refused(_("已有名为“%(name)s”的群。请换一个名称。", name=name))
    twin = _find_twin(robot, key or (robot.key if robot else "")) if is_on else None
    if twin is not None:
        raise KeyTaken(
            _("这个密钥已用于“%(name)s”。一个群机器人只登记一次，请修改那一条。", name=twin)
        )
    action = "edit.robot" if robot else "create.robot"
    if robot is None:
        robot = WecomRobot(created_at=clock.now())
        db.session.add(robot)
    robot.name = name
    robot.campaign_id = group.campaign_id
    robot.sector_id = group.sector_id
    robot.is_on = is_on
    if key:
        robot.key = key
    db.session.flush()
    audit.record(action, f"wecom_robot:{robot.id}", name=name, is_on=is_on, is_key_new=bool(key))
    return robot


def _find_twin(robot: WecomRobot | None, key: str) -> str | None:
    """The name of another robot that is switched on and has the key."""
    query = sa.select(WecomRobot.name).where(WecomRobot.key == key, WecomRobot.is_on)
    if robot is not None:
        query = query.where(WecomRobot.id != robot.id)
    return db.session.scalar(query.limit(1))


def delete_robot(robot: WecomRobot) -> None:
    """What is queued for it is refused when its turn comes, and says so."""
    audit.record("delete.robot", f"wecom_robot:{robot.id}", name=robot.name)
    db.session.delete(robot)


def queue_test(robot: WecomRobot) -> None:
    """Queues a test message; one a minute, and only while anything may go out: the whole group
    reads it. After the commit call `jobs.wake("deliver")`."""
    if not robot.is_on:
        raise Refused(_("这个群已停用。请先启用并保存，再发测试消息。"))
    now = clock.now()
    state = sending_state(now)
    if state.opens_at is not None:
        when = f"{clock.local(state.opens_at):%m-%d %H:%M}"
        raise Refused(
            _("测试消息全群都会收到，只在发送时段内发。请在 %(when)s 之后再发。", when=when)
        )
    if not state.is_open:
        raise Refused(state.reason)
    is_first = queueing.queue_message(
        purpose=Purpose.TEST,
        channel=Channel.WECOM,
        occurrence=f"robot-test:{robot.id}:{now:%Y%m%d%H%M}",
        address=robot.address,
        recipient_name=robot.name,
        subject="企业微信群测试消息",
        body_text=f"**测试消息**\n看到这条消息，说明“{robot.name}”已经接通。",
        not_after=now + WORTH_TESTING,
    )
    if not is_first:
        raise Refused(_("一分钟内已经发过测试消息，请稍等片刻再试。"))
    audit.record("test.robot", f"wecom_robot:{robot.id}")
