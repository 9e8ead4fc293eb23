"""How fast a provider may be written to. Each rate is a bucket that holds a minute's worth of
messages and fills up again; a channel without a rate of its own sends nothing.

WeCom counts the posts of each robot in any minute. A bucket that fills while it is emptied gives
nearly twice its size in some minutes, so that a robot's does not: it is full again once a minute
has passed in which nothing was taken from it and nothing was on its way to the group. So any 60
seconds see one filling at most, also of what a worker claimed early and posts late."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask_babel import gettext as _

from outreach import clock, money
from outreach.db import db, one_of
from outreach.messages.addresses import hash_normalised
from outreach.messages.models import (
    MAYBE_GONE,
    Channel,
    Message,
    MessageStatus,
    SendingRate,
    SendPolicy,
    WecomRobot,
)

DEFAULT_SMS_PRICE_FEN = 5
MOST_ELAPSED = timedelta(minutes=10)
"""Time that counts between two looks at a bucket, forward or back: for so long at most a clock that
was ahead and is set right stops a channel."""
MINUTE = timedelta(minutes=1)
MOST_POSTS = 20
"""Posts that WeCom takes from one robot in any minute, whatever rate is set."""
_ANY_LENGTH = 1_000_000
"""More posts than any message has."""


@dataclass
class Allowance:
    """What may be taken at this moment; to be used under the send lock."""

    rates: dict[tuple[Channel, str], SendingRate]
    robots: dict[str, WecomRobot]
    """By address."""
    sms_left: int
    """Segments of text messages that the day's budget still has."""
    now: datetime

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Conditions on messages: of a channel and a domain that have something left."""
        channels = [channel for channel in Channel if self._has_room(channel, "")]
        if self.sms_left <= 0 and Channel.SMS in channels:
            channels.remove(Channel.SMS)
        exhausted = [
            domain
            for (_channel, domain) in self.rates
            if domain and not self._has_room(Channel.EMAIL, domain)
        ]
        conditions: list[sa.ColumnElement[bool]] = [Message.channel.in_(channels)]
        if exhausted:
            conditions.append(Message.domain.not_in(exhausted))
        if Channel.SMS in channels:
            is_affordable = Message.segments <= self.sms_left
            conditions.append(sa.or_(Message.channel != Channel.SMS, is_affordable))
        if self.robots:
            room = {address: self._room_of(robot) for address, robot in self.robots.items()}
            has_room = Message.segments <= sa.case(room, value=Message.domain, else_=_ANY_LENGTH)
            conditions.append(sa.or_(Message.channel != Channel.WECOM, has_room))
        return conditions

    def take(self, messages: Sequence[tuple[int, Channel, str, int]]) -> set[int]:
        """Takes each message (id, channel, domain, segments) out of its buckets, in order; returns
        the ids of those for which nothing is left."""
        over = set()
        taken: Counter[tuple[Channel, str]] = Counter()
        for id_, channel, domain, segments in messages:
            if channel is Channel.WECOM:
                if not self._take_from_robot(domain, segments):
                    over.add(id_)
                continue
            keys = {(channel, ""), (channel, domain)} & self.rates.keys()
            is_dear = channel is Channel.SMS and segments > self.sms_left
            if is_dear or any(self._left(key) - taken[key] < 1 for key in keys):
                over.add(id_)
                continue
            taken.update(keys)
            if channel is Channel.SMS:
                self.sms_left -= segments
        for key, count in taken.items():
            if self.rates[key].per_minute is not None:
                self.rates[key].tokens -= count
        return over

    def _take_from_robot(self, address: str, posts: int) -> bool:
        robot = self.robots.get(address)
        if robot is None:
            return True
        if posts > self._room_of(robot):
            return False
        robot.tokens -= posts
        robot.tokens_at = self.now
        return True

    def _room_of(self, robot: WecomRobot) -> float:
        """Posts that a message may have. A full bucket takes any, or the longest would never go."""
        is_full = robot.tokens >= posts_per_minute(self.rates[Channel.WECOM, ""])
        return _ANY_LENGTH if is_full else robot.tokens

    def _has_room(self, channel: Channel, domain: str) -> bool:
        return (channel, domain) in self.rates and self._left((channel, domain)) >= 1

    def _left(self, key: tuple[Channel, str]) -> float:
        rate = self.rates[key]
        return float("inf") if rate.per_minute is None else rate.tokens


def fill(now: datetime) -> Allowance:
    """Fills the buckets up to `now`."""
    rates = {}
    for rate in db.session.scalars(
        sa.select(SendingRate).execution_options(populate_existing=True)
    ):
        rates[rate.channel, rate.domain] = rate
        if rate.per_minute is not None:
            _fill(rate, rate.per_minute, now)
    robots: dict[str, WecomRobot] = {}
    of_each_robot = rates.get((Channel.WECOM, ""))
    if of_each_robot is not None:
        rows = db.session.scalars(sa.select(WecomRobot).execution_options(populate_existing=True))
        robots = {robot.address: robot for robot in rows}
        _fill_robots(robots, posts_per_minute(of_each_robot), now)
    return Allowance(rates, robots, _sms_left(now) if (Channel.SMS, "") in rates else 0, now)


def posts_per_minute(rate: SendingRate) -> int:
    """What a rate of WeCom gives each robot; never more than the provider takes."""
    return min(rate.per_minute or MOST_POSTS, MOST_POSTS)


def _fill_robots(robots: Mapping[str, WecomRobot], size: int, now: datetime) -> None:
    for robot in robots.values():
        _mend_clock(robot, now)
    rested = {address for address, robot in robots.items() if _has_rested(robot, size, now)}
    if rested:
        rested -= _on_their_way(rested, now)
    for address, robot in robots.items():
        if address in rested:
            robot.tokens = float(size)
        robot.tokens = min(robot.tokens, float(size))


def _mend_clock(robot: WecomRobot, now: datetime) -> None:
    """Where the clock was set back, or another machine's is ahead, nobody knows how long ago
    something was taken: what is left is lost, and a minute begins. However wrong the clock was, it
    stops a robot no longer."""
    if robot.tokens_at is not None and now < robot.tokens_at:
        robot.tokens = min(robot.tokens, 0.0)
        robot.tokens_at = now


def _has_rested(robot: WecomRobot, size: int, now: datetime) -> bool:
    """Whether a bucket that is not full may be filled, as far as its row says."""
    has_time_passed = robot.tokens_at is None or now - robot.tokens_at >= MINUTE
    return robot.tokens < size and has_time_passed


def _on_their_way(addresses: Collection[str], now: datetime) -> set[str]:
    """Robots with posts that a worker holds, or of which the last minute brought the outcome: what
    was claimed may go out much later, when what stands before it in its claim is slow."""
    # By the hash, which has an index.
    hashes = [hash_normalised(Channel.WECOM, address) for address in addresses]
    was_tried = sa.or_(Message.attempts > 0, Message.resend_no > 0)
    # A row of unknown outcome keeps its token, and has been left by its worker.
    is_in_hand = Message.token.is_not(None) & one_of(
        Message.status, MessageStatus.QUEUED, MessageStatus.SENDING
    )
    ended = was_tried & (Message.status_at > now - MINUTE) & (Message.status_at <= now)
    return set(
        db.session.scalars(
            sa.select(Message.address)
            .where(
                one_of(Message.channel, Channel.WECOM),
                Message.address_hash.in_(hashes),
                sa.or_(is_in_hand, ended),
            )
            .distinct()
        )
    )


def _fill(rate: SendingRate, per_minute: int, now: datetime) -> None:
    if rate.tokens_at is None:
        rate.tokens = float(per_minute)
    else:
        # What a machine whose clock is ahead was given, one whose clock is behind takes back: two
        # that take turns fill no faster than one. Both within limits, or a clock that was once
        # wrong by a day would stop the channel for a day.
        elapsed = max(-MOST_ELAPSED, min(now - rate.tokens_at, MOST_ELAPSED))
        grown = rate.tokens + elapsed.total_seconds() * per_minute / 60
        rate.tokens = min(grown, float(per_minute))
    rate.tokens_at = now


def empty(now: datetime) -> None:
    """Lets every bucket begin anew, with nothing in it: a restored database does not know what was
    taken from them."""
    for table in (SendingRate, WecomRobot):
        db.session.execute(sa.update(table).values(tokens=0.0, tokens_at=now))


def sms_used(now: datetime) -> int:
    """Segments of text messages that went out today (Shanghai), may have, or are about to."""
    since = clock.start_of(clock.day_of(now))
    return (
        db.session.scalar(
            sa.select(sa.func.sum(Message.segments)).where(
                one_of(Message.channel, Channel.SMS),
                sa.or_(
                    Message.sent_at >= since,
                    Message.status.in_(MAYBE_GONE) & (Message.status_at >= since),
                    # In the hands of another worker, and about to go.
                    one_of(Message.status, MessageStatus.QUEUED) & Message.token.is_not(None),
                ),
            )
        )
        or 0
    )


def describe_sms_cost(segments: int) -> str:
    """«约 600 条 × 0.05 元 = 30.00 元», at the price that is set."""
    price = db.session.scalar(sa.select(SendPolicy.sms_price_fen))
    price_fen = DEFAULT_SMS_PRICE_FEN if price is None else price
    return _(
        "约 %(count)s 条 × %(price)s 元 = %(cost)s 元",
        count=segments,
        price=money.format_price(price_fen),
        cost=money.format_price(segments * price_fen),
    )


def _sms_left(now: datetime) -> int:
    budget = db.session.scalar(sa.select(SendPolicy.sms_daily_budget)) or 0
    return budget - sms_used(now) if budget else 0
