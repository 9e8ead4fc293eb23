"""The send gate: may this message go out now, and if not, why.

It is asked when a wave is previewed, when a worker claims a row, and once more before the row is
sent. Each check looks at a batch with one query; what it rests on is stored with the message.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, wraps
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import clock, money, web
from outreach.db import among, db, one_of, run, table_of
from outreach.messages.models import (
    MAYBE_GONE,
    Channel,
    Message,
    MessageSolicitation,
    MessageStatus,
    OptOut,
    Purpose,
    WithheldReason,
)


@dataclass(frozen=True)
class Candidate:
    """A message that might go out: a row of the outbox, or one that a preview thinks of."""

    key: int
    """Unique in the batch."""
    purpose: Purpose
    channel: Channel
    address_hash: str
    """Empty: there is no address that can be written to."""
    contact_id: int | None = None
    campaign_id: int | None = None
    wave_id: int | None = None
    solicitation_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Withheld:
    reason: WithheldReason
    facts: dict[str, Any]
    """JSON: what `describe` needs. `unit` names the unit when the message is about several."""


Check = Callable[[Sequence[Candidate], datetime], dict[int, Withheld]]
"""Those of the candidates that it withholds, by key."""


@dataclass(frozen=True)
class Subject:
    """A row of the outbox and one of the units it is about, as a screen sees them: columns."""

    message: sa.FromClause
    solicitation_id: sa.ColumnElement[int]
    today: sa.ColumnElement[date]


Screen = Callable[[Subject], sa.ColumnElement[bool]]
"""A condition that is true of every row that the check might withhold, and of few others. One
statement with all of them says of hundreds of rows that there is nothing to ask; none withholds."""


TO_UNITS = frozenset(
    {
        Purpose.REMINDER,
        Purpose.CORRECTION,
        Purpose.THANKS,
        Purpose.RELAY,
        Purpose.INVITATION,
        Purpose.MINUTES,
    }
)


class SendGate:
    """The checks in the order in which their reasons win."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = tuple(checks)

    @cached_property
    def _screens(self) -> sa.Select[Any]:
        return _screen_all(self.checks)

    def ask(self, candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
        """The first reason of each candidate that is withheld, by key.

        A check sees only those whom the checks before it let pass, so that one that counts (the
        caps) counts what will go out.
        """
        withheld: dict[int, Withheld] = {}
        for check in self.checks:
            passed = [candidate for candidate in candidates if candidate.key not in withheld]
            if not passed:
                break
            withheld |= check(passed, now)
        return withheld

    def find_suspects(self, ids: Sequence[int], now: datetime) -> set[int]:
        """Those of these rows of the outbox that have to be asked about: a screen is true of them,
        or they share person, address or unit with another, so that they count for each other."""
        rows = run(self._screens, {"ids": ids, "today": clock.day_of(now), "now": now})
        return {row.id for row in rows}


def _screen_all(checks: Sequence[Check]) -> sa.Select[Any]:
    """One statement with every screen. A check without one makes a suspect of each of its rows."""
    # Short names: a driver keeps what it has read of a statement that is not too long.
    message, link = table_of(Message).alias("m"), table_of(MessageSolicitation).alias("l")
    today = sa.bindparam("today", type_=sa.Date())
    subject = Subject(message, link.c.solicitation_id, today)
    purposes: dict[Screen, set[Purpose]] = defaultdict(set)
    for check in checks:
        purposes[getattr(check, "screen", _always)].update(getattr(check, "purposes", Purpose))
    screens: dict[frozenset[Purpose], list[Screen]] = defaultdict(list)
    for screen, asked in purposes.items():
        screens[frozenset(asked)].append(screen)
    is_suspect = sa.or_(
        sa.false(),
        *(
            (sa.true() if asked == set(Purpose) else one_of(message.c.purpose, *sorted(asked)))
            & sa.or_(*(screen(subject) for screen in of_these))
            for asked, of_these in screens.items()
        ),
    )
    shares = (
        _is_shared(message.c.id, sharer)
        for sharer in (message.c.contact_id, message.c.address_hash, link.c.solicitation_id)
    )
    rows = (
        sa.select(message.c.id, sa.or_(is_suspect, *shares).label("is_suspect"))
        .select_from(message.outerjoin(link, link.c.message_id == message.c.id))
        .where(among(message.c.id, "ids"))
        .subquery("rows")
    )
    return sa.select(rows.c.id).where(rows.c.is_suspect)


def _is_shared(id_: sa.ColumnElement[int], sharer: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Another message of the batch has the same person, address or unit."""
    lowest, highest = sa.func.min(id_), sa.func.max(id_)
    return sharer.is_not(None) & (
        lowest.over(partition_by=sharer) != highest.over(partition_by=sharer)
    )


def _always(_subject: Subject) -> sa.ColumnElement[bool]:
    return sa.true()


def found(rows: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """There is such a row: for screens, in place of `exists()`. PostgreSQL may answer EXISTS by
    reading a whole table, as it does when its statistics are old; this it looks up in an index,
    once for each row of the outbox."""
    return rows.limit(sa.literal_column("1")).scalar_subquery().is_not(None)


def asked_of(*purposes: Purpose) -> Callable[[Check], Check]:
    """Limits a check to messages of these purposes."""

    def decorate(check: Check) -> Check:
        @wraps(check)
        def limited(candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
            asked = [candidate for candidate in candidates if candidate.purpose in purposes]
            return check(asked, now) if asked else {}

        limited.purposes = purposes  # type: ignore[attr-defined]
        return limited

    return decorate


def screened(screen: Screen) -> Callable[[Check], Check]:
    """Names the condition that is true of whatever the check might withhold."""

    def decorate(check: Check) -> Check:
        check.screen = screen  # type: ignore[attr-defined]
        return check

    return decorate


def about_units(
    candidates: Iterable[Candidate], reason: WithheldReason, facts: dict[int, dict[str, Any]]
) -> dict[int, Withheld]:
    """Withholds each candidate of whose units one has `facts` (by solicitation, with its `unit`).

    The unit is named only when the message is about others too.
    """
    withheld = {}
    for candidate in candidates:
        found = next((facts[id_] for id_ in candidate.solicitation_ids if id_ in facts), None)
        if found is not None:
            is_alone = len(candidate.solicitation_ids) == 1
            kept = {key: value for key, value in found.items() if not (is_alone and key == "unit")}
            withheld[candidate.key] = Withheld(reason, kept)
    return withheld


def all_solicitations(candidates: Iterable[Candidate]) -> set[int]:
    return {id_ for candidate in candidates for id_ in candidate.solicitation_ids}


def is_opted_out(subject: Subject) -> sa.ColumnElement[bool]:
    message = subject.message.c
    return found(
        sa.select(OptOut.id).where(
            OptOut.address_hash == message.address_hash, OptOut.channel == message.channel
        )
    )


@screened(is_opted_out)
@asked_of(*TO_UNITS)
def check_opt_out(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    rows = db.session.execute(
        sa.select(OptOut.channel, OptOut.address_hash, OptOut.at).where(
            OptOut.address_hash.in_({candidate.address_hash for candidate in candidates})
        )
    )
    opted_out = {(channel, address_hash): at for channel, address_hash, at in rows}
    return {
        candidate.key: Withheld(
            WithheldReason.OPTED_OUT,
            {"at": opted_out[candidate.channel, candidate.address_hash].isoformat()},
        )
        for candidate in candidates
        if (candidate.channel, candidate.address_hash) in opted_out
    }


@screened(lambda subject: subject.message.c.address_hash == "")
def check_address(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    return {
        candidate.key: Withheld(WithheldReason.NO_ADDRESS, {"channel": candidate.channel.value})
        for candidate in candidates
        if not candidate.address_hash
    }


_GONE = (MessageStatus.SENT, MessageStatus.DELIVERED)


def has_gone(message: Any) -> sa.ColumnElement[bool]:
    """It was accepted, or a person let it be when nobody could know. `message`: the columns. What
    was cancelled in time has no moment at which it was sent; what was cancelled when a receipt
    proved that it had arrived, or while its outcome was unknown, has."""
    is_late = one_of(message.status, MessageStatus.CANCELLED) & message.sent_at.is_not(None)
    return sa.or_(one_of(message.status, *_GONE), is_late)


def may_have_gone(message: Any) -> sa.ColumnElement[bool]:
    return sa.or_(has_gone(message), one_of(message.status, *MAYBE_GONE))


def describe(reason: WithheldReason, facts: dict[str, Any]) -> str:
    """The reason with what it rests on: «已到账 3.00 万元,10-12»."""
    wording = _BY_RULE.get(facts.get("rule", ""))
    text = str((wording or _DESCRIPTIONS.get(reason, reason.label)) % _Readable(facts))
    return f"{facts['unit']}：{text}" if "unit" in facts else text


_DESCRIPTIONS = {
    WithheldReason.ALREADY_GIVEN: _("已到账 %(amount_fen)s 万元，%(received_on)s"),
    WithheldReason.PARTLY_GIVEN: _(
        "本周已有部分到账：累计 %(amount_fen)s 万元，最近一笔 %(received_on)s"
    ),
    WithheldReason.UNMATCHED_LINE: _(
        "%(received_on)s 有一笔 %(amount_fen)s 万元待认领，可能是该单位的"
    ),
    WithheldReason.UNREAD_REPLY: _("对方 %(at)s 有回复，在待办里等人看"),
    WithheldReason.PLEDGE_NOT_DUE: _("已认捐 %(amount_fen)s 万元，%(due_on)s 到期"),
    WithheldReason.SNOOZED: _("暂缓联系至 %(until)s"),
    WithheldReason.OPTED_OUT: _("对方已于 %(at)s 退订"),
    WithheldReason.DEAD_ADDRESS: _("该地址不存在或已停用，%(at)s 发去的消息被退回"),
    WithheldReason.CONTACT_LEFT: _("联络员已离任（%(left_on)s）"),
    WithheldReason.CONTACT_CAP: _("%(days)s 天内已提醒过该联络员 %(count)s 次"),
    WithheldReason.UNIT_CAP: _("本年度已提醒过 %(count)s 次，次数已满"),
    WithheldReason.UNIT_GAP: _("%(last_on)s 刚提醒过该单位，两次提醒至少隔 %(days)s 天"),
}

_BY_RULE = {
    "ended": _("活动已于 %(ends_on)s 截止，要继续提醒，请先延长活动的结束日期"),
    "changed": _("批准之后，联络员或地址已有变化"),
    "minute": _("一分钟内已向这个号码发过短信"),
    "hour": _("一小时内已向这个号码发过 %(count)s 条短信"),
    "day": _("一天内已向这个号码发过 %(count)s 条短信"),
    "template": _("短信模板没有平台模板编号，短信平台不会发出"),
    "length": _("“%(name)s”有 %(length)s 字，短信平台最多接受 %(most)s 字"),
    "content": _("“%(name)s”中有网址或电话号码，短信平台不接受"),
    "appeal": _("“%(name)s”中有“%(words)s”，短信平台不许用短信募捐"),
}
"""By the rule that was found broken: the end of a campaign, the audience of a wave, then those of
`provider_rules`."""


class _Readable(dict[str, Any]):
    """Facts as people read them: amounts in 万元, days without their year."""

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            return "—"
        if name.endswith("_fen"):
            return money.format_wan_yuan(value)
        if name.endswith("_on") or name in {"at", "until"}:
            return web.format_day(
                datetime.fromisoformat(value) if "T" in value else date.fromisoformat(value)
            )
        return str(value)
