"""What people do about sending: the switch, the caps, the hours, and outcomes that nobody knows."""

from datetime import time

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach import audit, clock
from outreach.db import db
from outreach.errors import Conflict, NotFound, Refused
from outreach.messages import instance, outbox, rates, waves
from outreach.messages.models import (
    QUIET_FROM,
    QUIET_UNTIL,
    Channel,
    Message,
    SendingRate,
    SendingWindow,
    SendPolicy,
    WindowDays,
)
from outreach.messages.outbox import Decision

DEFAULT_CAPS = {
    "contact_cap": 2,
    "contact_cap_days": 7,
    "unit_cap": 3,
    "unit_gap_days": 2,
    "sms_daily_budget": 500,
    "sms_price_fen": rates.DEFAULT_SMS_PRICE_FEN,
}
"""Caps that hold until somebody sets others."""
DEFAULT_RATES = {Channel.EMAIL: 600, Channel.SMS: 60, Channel.WECOM: 20}
"""Messages a minute until somebody sets another rate."""


def switch_sending(*, is_on: bool) -> None:
    """Turns all sending on or off; workers see it before their next window. After a restore it is
    turned on by leaving every message that is still open, and every wave that is still to start, to
    a person."""
    policy = _policy()
    if is_on and not instance.is_trusted(policy):
        if not instance.is_unused(policy):
            audit.record("distrust.messages", "send_policy:1", count=outbox.distrust_open_rows())
            waves.hold_approved(str(_("数据库恢复之前，这个批次可能已经发出。请核实后再放行。")))
            policy.restored_at = clock.now()
            rates.empty(clock.now())
        instance.adopt(policy)
    policy.is_on = is_on
    _sign(policy)
    audit.record("switch.sending", "send_policy:1", is_on=is_on)


def set_caps(
    *,
    contact_cap: int,
    contact_cap_days: int,
    unit_cap: int,
    unit_gap_days: int,
    sms_daily_budget: int,
    sms_price_fen: int,
) -> None:
    policy = _policy()
    caps = {
        "contact_cap": contact_cap,
        "contact_cap_days": contact_cap_days,
        "unit_cap": unit_cap,
        "unit_gap_days": unit_gap_days,
        "sms_daily_budget": sms_daily_budget,
        "sms_price_fen": sms_price_fen,
    }
    for name, value in caps.items():
        setattr(policy, name, value)
    _sign(policy)
    audit.record("edit.caps", "send_policy:1", **caps)


def save_window(
    window: SendingWindow | None,
    *,
    days: WindowDays,
    opens_at: time,
    closes_at: time,
    season_from: str,
    season_to: str,
) -> SendingWindow:
    """Adds hours, or changes those of `window`. Seasons are «MM-DD»."""
    if closes_at <= opens_at:
        raise Refused(_("结束时间要晚于开始时间。"))
    if opens_at < QUIET_UNTIL or closes_at > QUIET_FROM:
        raise Refused(_("21:00 至次日 08:00 是静默时间，不能设为发送时段。"))
    if window is None:
        window = SendingWindow()
        db.session.add(window)
    window.days = days
    window.opens_at = opens_at
    window.closes_at = closes_at
    window.season_from = season_from
    window.season_to = season_to
    db.session.flush()
    audit.record(
        "edit.window",
        f"sending_window:{window.id}",
        days=days.value,
        hours=f"{opens_at:%H:%M}-{closes_at:%H:%M}",
        season=f"{season_from}/{season_to}",
    )
    return window


def save_rate(channel: Channel, domain: str, per_minute: int | None) -> None:
    """Sets how fast a channel, or a domain of e-mail addresses, may be written to."""
    if channel is Channel.WECOM and not 1 <= (per_minute or 0) <= rates.MOST_POSTS:
        raise Refused(
            _(
                "企业微信规定每个群机器人每分钟最多发 %(most)s 条，超出的会被拒收。"
                "请把“每分钟最多（条）”填为 1 到 %(most)s。",
                most=rates.MOST_POSTS,
            )
        )
    rate = _find_rate(channel, domain)
    if rate is None:
        rate = SendingRate(channel=channel, domain=domain, tokens=0.0)
        db.session.add(rate)
    rate.per_minute = per_minute
    rate.tokens = min(rate.tokens, float(per_minute or 0))
    audit.record(
        "edit.rate", "send_policy:1", channel=channel.value, domain=domain, per_minute=per_minute
    )


def delete_rate(channel: Channel, domain: str) -> None:
    """Takes a rate away. Of a whole channel that means that it sends nothing any more."""
    rate = _find_rate(channel, domain)
    if rate is None:
        raise NotFound(_("没有这条速率，可能已被删除。"))
    db.session.delete(rate)
    audit.record("delete.rate", "send_policy:1", channel=channel.value, domain=domain)


def _find_rate(channel: Channel, domain: str) -> SendingRate | None:
    return db.session.scalar(sa.select(SendingRate).filter_by(channel=channel, domain=domain))


def delete_window(window: SendingWindow) -> None:
    audit.record("delete.window", f"sending_window:{window.id}")
    db.session.delete(window)


def resolve_unknown(message: Message, decision: Decision, *, reason: str) -> None:
    """Writes what a person found out, or decided, about a message of unknown outcome."""
    now = clock.now()
    if decision is Decision.RESEND:
        _allow_resend(message)
    if not outbox.settle_unknown(message, decision, now):
        raise Conflict(_("这条消息的状态刚刚变了，请核对最新状态。"))
    audit.record(f"{decision.value}.message", f"message:{message.id}", reason=reason)


def _allow_resend(message: Message) -> None:
    if message.not_after < clock.now():
        raise Refused(_("这条消息已过有效期，不能重发。请选择“已发出”或“不再发送”。"))
    if message.wave is None:
        return
    if not waves.reopen_wave(message.wave.id):
        raise Refused(_("所在批次已取消，不能重发。请选择“已发出”或“不再发送”。"))
    correction = waves.find_correction(message.wave)
    if correction is not None:
        raise Refused(
            _(
                "所在批次已有更正“%(name)s”，发错的文字不能重发。"
                "请选择“已发出”或“不再发送”；正确的文字由更正发给这位收件人。",
                name=correction.name,
            )
        )


def _policy() -> SendPolicy:
    """The one row, made when it is first needed: switched off."""
    policy = db.session.scalar(sa.select(SendPolicy).with_for_update())
    if policy is None:
        policy = SendPolicy(
            id=1, is_on=False, instance_id="", epoch=0, changed_at=clock.now(), **DEFAULT_CAPS
        )
        db.session.add(policy)
        db.session.add_all(
            SendingRate(channel=channel, per_minute=per_minute)
            for channel, per_minute in DEFAULT_RATES.items()
        )
    return policy


def _sign(policy: SendPolicy) -> None:
    policy.changed_at = clock.now()
    policy.changed_by_id = current_user.id if current_user else None
