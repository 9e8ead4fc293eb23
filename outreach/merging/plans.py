"""What merging two units would do. It is always shown before it is done, and done exactly so."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Sector, Solicitation
from outreach.db import db, run, table_of
from outreach.errors import Conflict, Refused
from outreach.gifts.models import Gift
from outreach.merging import aspects
from outreach.merging.aspects import Aspect
from outreach.merging.journal import Row, rows_of
from outreach.messages.models import Wave, WaveStatus
from outreach.reminders.models import WaveMember
from outreach.terms import Term
from outreach.units.models import Unit

UNDER_WAY: Final = (
    WaveStatus.IN_REVIEW,
    WaveStatus.APPROVED,
    WaveStatus.RUNNING,
    WaveStatus.PAUSED,
    WaveStatus.HELD,
)
"""Waves whose audience a second person has seen, or is about to see."""

ON_UNIT: Final[dict[str, LazyString]] = {
    "contact.unit_id": _("联系人"),
    "unit_alias.unit_id": _("别名"),
    "unit_head_count.unit_id": _("年度人数"),
    "action_item.unit_id": _("会议待办"),
    "payer_alias.unit_id": _("记住的付款人"),
}
"""What goes over to the surviving unit, and how a preview calls it."""
ON_SOLICITATION: Final[dict[str, LazyString]] = {
    "pledge.solicitation_id": _("认捐"),
    "stage_change.solicitation_id": _("进展记录"),
    "visit.solicitation_id": _("走访"),
    "todo.solicitation_id": _("待办"),
    "message_solicitation.solicitation_id": _("消息"),
    "wave_member.solicitation_id": _("提醒批次"),
    "line_candidate.solicitation_id": _("待认领款项"),
    "sector_move.solicitation_id": _("板块变动"),
    "relay_answer.solicitation_id": _("联络信息核对"),
}
"""What goes over to the surviving unit's place in the same campaign."""
BY_HAND: Final = {"solicitation.unit_id", "gift.unit_id", "unit.parent_id"}
"""What `services` goes through one by one."""
STAYS: Final = {
    # Contacts go over as they are, with all that refers to them.
    "attendee.contact_id",
    "message.contact_id",
    "todo.contact_id",
    "wave_member.contact_id",
    # What merging itself remembers.
    "unit.merged_into_id",
    "unit_merge.survivor_id",
    "unit_merge.loser_id",
    "units_apart.one_id",
    "units_apart.other_id",
}


@dataclass(frozen=True)
class Choice:
    """Where both say something else: both values in words, and whose is kept."""

    label: LazyString
    ours: str
    theirs: str
    is_theirs: bool


@dataclass(frozen=True)
class Year:
    """What happens in one campaign; None where a unit has no place in it."""

    campaign: Campaign
    ours: Row | None
    theirs: Row | None
    our_sector: str
    their_sector: str
    our_fen: int
    their_fen: int
    choices: list[Choice]

    @property
    def changes_sector(self) -> bool:
        """The loser's gifts go to another sector, so the sums of two sectors change."""
        return bool(self.ours and self.theirs) and self.our_sector != self.their_sector


@dataclass(frozen=True)
class MergePlan:
    survivor: Unit
    loser: Unit
    choices: list[Choice]
    hanging: list[tuple[LazyString, int]]
    """What goes over, and how much of it."""
    years: list[Year]
    fingerprint: str
    """Two plans with the same one do the same to the same rows."""

    def check_previewed(self, fingerprint: str) -> None:
        if fingerprint != self.fingerprint:
            raise Conflict(_("预览之后数据有变化，没有合并。请核对新的预览后再确认。"))


def plan_merge(survivor: Unit, loser: Unit) -> MergePlan:
    """Refused when the two cannot be merged as things are."""
    check_mergeable(survivor, loser)
    rows = [rows_of(table_of(Unit).c.id, unit.id)[0] for unit in (survivor, loser)]
    places = [_places(unit) for unit in (survivor, loser)]
    sums = [sum_by_campaign(unit.id) for unit in (survivor, loser)]
    years = sorted(set(places[0]) | set(places[1]) | set(sums[0]) | set(sums[1]))
    planned = [
        _plan_year(
            db.session.get_one(Campaign, id_),
            (places[0].get(id_), places[1].get(id_)),
            (sums[0].get(id_, 0), sums[1].get(id_, 0)),
        )
        for id_ in years
    ]
    hanging = [(label, count) for label, count in _count_hanging(loser) if count]
    return MergePlan(
        survivor,
        loser,
        choices=_choices(aspects.OF_UNIT, *rows),
        hanging=hanging,
        years=sorted(planned, key=lambda year: year.campaign.starts_on, reverse=True),
        fingerprint=_fingerprint([*rows, *places, *sums, [count for _label, count in hanging]]),
    )


def check_mergeable(survivor: Unit, loser: Unit) -> None:
    if survivor.id == loser.id:
        raise Refused(_("这是同一个单位。请选择另一个单位。"))
    for unit in (survivor, loser):
        if unit.merged_into_id is not None:
            raise Refused(_("“%(unit)s”已并入另一个单位。请返回重新选择。", unit=unit.name))
    check_in_no_wave(loser)


def check_in_no_wave(unit: Unit) -> None:
    """Refused while letters about the unit are approved or on their way."""
    wave = db.session.scalar(
        sa.select(Wave.name)
        .join(WaveMember, WaveMember.wave_id == Wave.id)
        .join(Solicitation, Solicitation.id == WaveMember.solicitation_id)
        .where(Solicitation.unit_id == unit.id, Wave.status.in_(UNDER_WAY))
        .limit(1)
    )
    if wave is not None:
        raise Refused(
            _(
                "“%(unit)s”在提醒批次“%(wave)s”的名单里，批次还没有结束。"
                "请等它发完，或先取消、退回这个批次。",
                unit=unit.name,
                wave=wave,
            )
        )


def sum_by_campaign(*unit_ids: int) -> dict[int, int]:
    """Fen that the units gave, by campaign."""
    rows = db.session.execute(
        sa.select(Gift.campaign_id, sa.cast(sa.func.sum(Gift.amount_fen), sa.BigInteger))
        .where(Gift.unit_id.in_(unit_ids))
        .group_by(Gift.campaign_id)
    )
    return dict(rows.all())


def column_of(name: str) -> sa.Column[Any]:
    """The column that is called «table.column»."""
    table, column = name.split(".")
    return db.metadata.tables[table].c[column]


def _plan_year(
    campaign: Campaign,
    places: tuple[Row | None, Row | None],
    sums: tuple[int, int],
) -> Year:
    ours, theirs = places
    our_sector, their_sector = (
        db.session.get_one(Sector, place["sector_id"]).name if place else "" for place in places
    )
    choices = _choices(aspects.OF_SOLICITATION, ours, theirs) if ours and theirs else []
    return Year(campaign, ours, theirs, our_sector, their_sector, *sums, choices)


def _choices(of: Sequence[Aspect], ours: Row, theirs: Row) -> list[Choice]:
    choices = []
    for aspect in of:
        own, other = (_say(aspect, row) for row in (ours, theirs))
        if other not in ("", own):
            choices.append(Choice(aspect.label, own, other, aspect.prefers_theirs(ours, theirs)))
    return choices


def _say(aspect: Aspect, row: Row) -> str:
    return " ".join(filter(None, (_shown(column, row[column]) for column in aspect.columns)))


def _shown(column: str, value: Any) -> str:
    if not value:
        return ""
    if column == "solicitor_id":
        return db.session.get_one(User, value).name
    if value is True:
        return str(_("是"))
    return str(value.label) if isinstance(value, Term) else str(value)


def _count_hanging(loser: Unit) -> list[tuple[LazyString, int]]:
    own = sa.select(Solicitation.id).where(Solicitation.unit_id == loser.id)
    counts = [(label, _count(column_of(name) == loser.id)) for name, label in ON_UNIT.items()]
    counts += [(label, _count(column_of(name).in_(own))) for name, label in ON_SOLICITATION.items()]
    return [*counts, (_("到账记录"), _count(Gift.unit_id == loser.id))]


def _count(condition: sa.ColumnElement[bool]) -> int:
    return run(sa.select(sa.func.count()).where(condition)).scalar() or 0


def _places(unit: Unit) -> dict[int, Row]:
    rows = rows_of(table_of(Solicitation).c.unit_id, unit.id)
    return {row["campaign_id"]: row for row in rows}


def _fingerprint(parts: list[Any]) -> str:
    text = json.dumps(parts, default=_plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, sa.RowMapping) else str(value)
