"""Reads of the outbox, and whether anything may go out at this moment."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload

from outreach import clock, web, workdays
from outreach.db import db, one_of, run, table_of
from outreach.errors import NotFound
from outreach.messages import instance
from outreach.messages.gate import describe
from outreach.messages.models import (
    QUIET_FROM,
    QUIET_UNTIL,
    BounceCause,
    Channel,
    FailureKind,
    Message,
    MessageSolicitation,
    MessageStatus,
    Purpose,
    SendingRate,
    SendingWindow,
    SendPolicy,
    WaveStatus,
    WecomRobot,
    WindowDays,
)
from outreach.terms import Term

AT_ANY_HOUR = frozenset({Purpose.ACCOUNT, Purpose.TEST})
"""Somebody sits and waits for these; but not a group, which is other people."""

FURTHEST = 60
"""Days that are looked ahead for the next opening."""


NOT_TRUSTED = _(
    "这个数据库是恢复或复制来的，不知道其后发过什么，所以不会自动发送。"
    "请在“发送设置”中重新打开发送，再逐条核实结果不明的消息。"
)


@dataclass(frozen=True)
class SendingState:
    is_on: bool
    is_open: bool
    """Inside a window; see `lets_out` for what does not need one."""
    reason: Any
    """Why nothing goes out now, in the reader's language; empty when it does."""
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    """Of the window that is open."""

    def lets_out(self, message: Message) -> bool:
        is_awaited = message.purpose in AT_ANY_HOUR and message.channel is not Channel.WECOM
        return self.is_on and (self.is_open or is_awaited)

    def reason_before(self, last: datetime) -> Any:
        """`reason` for what goes out until this moment and not after it."""
        if self.opens_at is None or self.opens_at <= last:
            return self.reason
        return _(
            "下一个发送时段 %(opens)s 才开始，已在最迟发送时间 %(last)s 之后：到时过期，不会发出。",
            opens=f"{clock.local(self.opens_at):%m-%d %H:%M}",
            last=f"{clock.local(last):%m-%d %H:%M}",
        )


def is_for_any_hour() -> sa.ColumnElement[bool]:
    """Condition on messages: they do not wait for a window."""
    is_to_group = one_of(Message.channel, Channel.WECOM)
    return one_of(Message.purpose, *AT_ANY_HOUR) & ~is_to_group


class Hours(Protocol):
    """A `SendingWindow`, a row of its table, or what is left of one."""

    @property
    def days(self) -> WindowDays: ...
    @property
    def opens_at(self) -> time: ...
    @property
    def closes_at(self) -> time: ...
    @property
    def season_from(self) -> str: ...
    @property
    def season_to(self) -> str: ...


@dataclass(frozen=True)
class _DayHours:
    """Of a window the part by day."""

    days: WindowDays
    opens_at: time
    closes_at: time
    season_from: str
    season_to: str


def sending_state(now: datetime) -> SendingState:
    """Whether messages may go out now. Without a policy or a window nothing does."""
    policy = run(_POLICY).first()
    if policy is not None and policy.is_on and not instance.is_trusted(policy):
        return SendingState(False, False, NOT_TRUSTED)
    return state_under(policy, now)


def state_under(policy: Any, now: datetime) -> SendingState:
    """The same for a policy of a database that is trusted."""
    if policy is None:
        return SendingState(False, False, _("发送尚未开通。请在“发送设置”中打开发送开关。"))
    if not policy.is_on:
        return SendingState(False, False, _("发送总开关已关闭，所有消息都不会发出。"))
    return hours_at(now)


def hours_at(now: datetime) -> SendingState:
    """What the hours alone say of this moment, whether or not sending is switched on."""
    windows = run(_WINDOWS).all()
    if not windows:
        return SendingState(
            True,
            False,
            _("没有设置发送时段，除账号消息和试发给自己的信外都不会发出。请先添加时段。"),
        )
    is_day = QUIET_UNTIL <= clock.local(now).time() < QUIET_FROM
    hours = _by_day(windows) if is_day or has_quiet_hours() else windows
    every_day = [window for window in hours if window.days is WindowDays.EVERY_DAY]
    if any(_is_open(window, now) for window in every_day):
        return _open(every_day, now)
    return _consult_calendar(hours, now)


def _open(hours: Iterable[Hours], now: datetime) -> SendingState:
    closing = max(window.closes_at for window in hours if _is_open(window, now))
    return SendingState(True, True, "", closes_at=clock.at(clock.day_of(now), closing))


def has_quiet_hours() -> bool:
    """Everywhere but where nothing leaves the machine: in the demonstration mail stays in the local
    outbox and text messages in a file, at night too, until a group is added that is written to."""
    settings = current_app.extensions["outreach.settings"]
    if settings.night_sending:
        return False
    return not settings.keeps_messages_here or bool(db.session.scalar(_HAS_ROBOT))


def _by_day(windows: Iterable[Hours]) -> list[Hours]:
    """What windows leave of the day. A row that reaches into the quiet hours was not written by the
    page; it is cut and not believed."""
    hours = (
        _DayHours(
            window.days,
            max(window.opens_at, QUIET_UNTIL),
            min(window.closes_at, QUIET_FROM),
            window.season_from,
            window.season_to,
        )
        for window in windows
    )
    return [window for window in hours if window.opens_at < window.closes_at]


_HAS_ROBOT = sa.select(sa.exists().where(WecomRobot.is_on))
_POLICY = sa.select(table_of(SendPolicy))
_WINDOWS = sa.select(table_of(SendingWindow))


def _consult_calendar(windows: Sequence[Hours], now: datetime) -> SendingState:
    try:
        opens_at = _next_opening(windows, now)
    except workdays.CalendarUnknown as unknown:
        reason = _(
            "尚未确认%(year)s年的节假日安排，不能判断是否工作日，消息暂不发出。请在“设置”中确认。",
            year=unknown.year,
        )
        return SendingState(True, False, reason)
    if opens_at is None:
        return SendingState(
            True, False, _("近期没有可用的发送时段，消息暂不发出。请检查时段设置。")
        )
    if opens_at <= now:
        return _open(windows, now)
    reason = _(
        "现在不在发送时段内，消息将在 %(moment)s 后发出。",
        moment=f"{clock.local(opens_at):%m-%d %H:%M}",
    )
    return SendingState(True, False, reason, opens_at)


def list_windows() -> list[SendingWindow]:
    return list(
        db.session.scalars(
            sa.select(SendingWindow).order_by(
                SendingWindow.season_from, SendingWindow.opens_at, SendingWindow.id
            )
        )
    )


def list_rates() -> list[SendingRate]:
    rows = db.session.scalars(sa.select(SendingRate).order_by(SendingRate.domain))
    order = list(Channel)
    return sorted(rows, key=lambda rate: order.index(rate.channel))


def find_policy() -> SendPolicy | None:
    return db.session.get(SendPolicy, 1)


def get_window(window_id: int) -> SendingWindow:
    window = db.session.get(SendingWindow, window_id)
    if window is None:
        raise NotFound(_("没有这个发送时段，可能已被删除。"))
    return window


def get_message(message_id: int) -> Message:
    message = db.session.get(Message, message_id, options=[joinedload(Message.wave)])
    if message is None:
        raise NotFound(_("没有这条消息。"))
    return message


def count_unknown() -> int:
    return (
        db.session.scalar(
            sa.select(sa.func.count())
            .select_from(Message)
            .where(one_of(Message.status, MessageStatus.UNKNOWN))
        )
        or 0
    )


def select_messages(
    *,
    status: MessageStatus | None = None,
    purpose: Purpose | None = None,
    channel: Channel | None = None,
    wave_id: int | None = None,
    unit_id: int | None = None,
    campaign_id: int | None = None,
) -> sa.Select[Message]:
    """Messages, those that wait for a person first, then the newest."""
    wanted = {
        Message.status: status,
        Message.purpose: purpose,
        Message.channel: channel,
        Message.wave_id: wave_id,
        Message.campaign_id: campaign_id,
    }
    conditions = [column == value for column, value in wanted.items() if value]
    if unit_id:
        conditions.append(
            Message.id.in_(
                sa.select(MessageSolicitation.message_id)
                .join(_SOLICITATION, _SOLICITATION.c.id == MessageSolicitation.solicitation_id)
                .where(_SOLICITATION.c.unit_id == unit_id)
            )
        )
    is_settled = sa.case((Message.status == MessageStatus.UNKNOWN, 0), else_=1)
    return (
        sa.select(Message)
        .where(*conditions)
        .options(joinedload(Message.wave))
        .order_by(is_settled, Message.id.desc())
    )


def read_filter(args: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of `select_messages` from those of an address; what is not understood is left
    out."""
    terms: dict[str, type[Term]] = {
        "status": MessageStatus,
        "purpose": Purpose,
        "channel": Channel,
    }
    wanted: dict[str, Any] = {
        name: next((member for member in members if member.value == args.get(name)), None)
        for name, members in terms.items()
    }
    for name in ("wave", "unit"):
        value = args.get(name, "")
        wanted[f"{name}_id"] = int(value) if value.isdecimal() and len(value) < 10 else None
    return wanted


UNKNOWN = _("对方可能已收到，也可能没有。系统不会自动重发，请核实。")
RESTORED = _("数据库恢复之前可能已发出，也可能没有。系统不会自动重发，请核实。")


def explain(message: Message, sending: SendingState | None = None) -> str:
    """Why the message is in its state, for people; empty when the state says it all. Where no other
    part of a page tells whether anything goes out now, `sending` does."""
    match message.status:
        case MessageStatus.WITHHELD if message.withheld_reason:
            return describe(message.withheld_reason, message.facts)
        case MessageStatus.FAILED if message.failure:
            return _explain_failure(message.failure, message.facts)
        case MessageStatus.UNKNOWN:
            return str(RESTORED if message.facts.get("restored") else UNKNOWN)
        case MessageStatus.CANCELLED | MessageStatus.EXPIRED:
            return _explain_unsent(message)
        case MessageStatus.QUEUED:
            return _explain_waiting(message, sending)
    return ""


def _explain_waiting(message: Message, sending: SendingState | None) -> str:
    if message.wave is not None and message.wave.status is WaveStatus.PAUSED:
        return str(_("批次已暂停，继续后才会发出。%(why)s", why=message.wave.paused_because))
    if sending is not None and not sending.lets_out(message):
        return str(sending.reason_before(message.not_after))
    if message.facts.get("verdict"):
        return str(
            _(
                "第 %(count)s 次未成功，%(moment)s 后再试：%(answer)s",
                count=message.attempts,
                moment=web.format_moment(message.next_at),
                answer=message.facts.get("answer", ""),
            )
        )
    return ""


ADVICE = {
    BounceCause.NO_SUCH_ADDRESS: _("请向单位核实，更正前不再发往该地址。"),
    BounceCause.MAILBOX_FULL: _("地址没有问题，请电话告知对方清理信箱。"),
    BounceCause.POLICY: _("地址没有问题，请对方把我们的发件地址加入白名单。"),
    BounceCause.GIVEN_UP: _("对方服务器一直没有接收，请改用电话联系。"),
    BounceCause.OTHER: _("请电话核实对方的联系方式。"),
}


def _explain_failure(failure: FailureKind, facts: dict[str, Any]) -> str:
    answer = facts.get("answer", "")
    cause = next((cause for cause in BounceCause if cause == facts.get("cause")), None)
    if cause is None:
        return f"{failure.label}：{answer}" if answer else str(failure.label)
    told = f"（{answer}）" if answer else ""
    return f"{failure.label}：{cause.label}。{ADVICE[cause]}{told}"


def _explain_unsent(message: Message) -> str:
    if message.facts.get("arrived"):
        return str(_("回执表明前一次已经送达，没有再发。"))
    if message.status is MessageStatus.EXPIRED:
        return str(_("过了有效期，没有发出。"))
    is_uncertain = message.sent_at is not None
    return str(_("对方可能已收到，不再发送；计入提醒次数。")) if is_uncertain else ""


def find_user_name(user_id: int | None) -> str:
    return db.session.scalar(sa.select(_USER.c.name).where(_USER.c.id == user_id)) or ""


def unit_names(message_ids: Sequence[int]) -> dict[int, list[str]]:
    """Names of the units that each message is about, by message."""
    rows = db.session.execute(
        sa.select(MessageSolicitation.message_id, _UNIT.c.name)
        .join(_SOLICITATION, _SOLICITATION.c.id == MessageSolicitation.solicitation_id)
        .join(_UNIT, _UNIT.c.id == _SOLICITATION.c.unit_id)
        .where(MessageSolicitation.message_id.in_(message_ids))
        .order_by(_UNIT.c.id)
    )
    names: dict[int, list[str]] = {}
    for message_id, name in rows:
        names.setdefault(message_id, []).append(name)
    return names


# Messages lie below accounts, units and campaigns and know of them only what a page shows.
_SOLICITATION = sa.table("solicitation", sa.column("id"), sa.column("unit_id"))
_UNIT = sa.table("unit", sa.column("id"), sa.column("name"))
_USER = sa.table("user_account", sa.column("id"), sa.column("name"))


def _next_opening(windows: Sequence[Hours], now: datetime) -> datetime | None:
    """`now` when a window is open, else when the next one opens; None beyond FURTHEST.

    CalendarUnknown when the answer hangs on a day of which nobody knows whether offices work.
    """
    today = clock.day_of(now)
    calendar = workdays.load_calendar()
    for offset in range(FURTHEST):
        for opens_at, closes_at in _openings(windows, today + timedelta(days=offset), calendar):
            if now < closes_at:
                return max(opens_at, now)
    return None


def _openings(
    windows: Sequence[Hours], day: date, calendar: workdays.Calendar
) -> Iterator[tuple[datetime, datetime]]:
    """When windows open and close on this day, in the order of opening."""
    for window in sorted(windows, key=lambda window: window.opens_at):
        if not _is_in_season(window, day):
            continue
        if window.days is WindowDays.EVERY_DAY or calendar.is_workday(day):
            yield clock.at(day, window.opens_at), clock.at(day, window.closes_at)


def _is_open(window: Hours, now: datetime) -> bool:
    """On a day on which it opens."""
    day, hour = clock.day_of(now), clock.local(now).time()
    return _is_in_season(window, day) and window.opens_at <= hour < window.closes_at


def _is_in_season(window: Hours, day: date) -> bool:
    """The part of the year may go over New Year: «11-01» to «03-31»."""
    mark = f"{day:%m-%d}"
    if window.season_from <= window.season_to:
        return window.season_from <= mark <= window.season_to
    return mark >= window.season_from or mark <= window.season_to
