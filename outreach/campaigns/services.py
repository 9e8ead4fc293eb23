"""Changes to where a unit stands. Every change of stage goes through `change_stage`."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.access import OFFICE
from outreach.accounts.models import User
from outreach.campaigns.models import (
    ChangeReason,
    DeclineReason,
    Solicitation,
    Stage,
    StageCause,
    StageChange,
)
from outreach.db import among, db, run, table_of
from outreach.errors import Refused

PATH: Final = (Stage.NOT_CONTACTED, Stage.CONTACTED, Stage.VISITED, Stage.PLEDGED)
"""The stages in the order in which a unit comes to them."""

TRANSITIONS: Final[dict[Stage, frozenset[Stage]]] = {
    Stage.NOT_CONTACTED: frozenset({Stage.CONTACTED, Stage.VISITED, Stage.PLEDGED, Stage.DECLINED}),
    # One step back is there to put a slip right.
    Stage.CONTACTED: frozenset({Stage.NOT_CONTACTED, Stage.VISITED, Stage.PLEDGED, Stage.DECLINED}),
    Stage.VISITED: frozenset({Stage.CONTACTED, Stage.PLEDGED, Stage.DECLINED}),
    Stage.PLEDGED: frozenset({Stage.VISITED, Stage.DECLINED}),
    Stage.DECLINED: frozenset({Stage.CONTACTED, Stage.VISITED, Stage.PLEDGED}),
}
"""Which stages may follow a stage. A unit that declined can be taken up again, but it has been
in touch and never goes back to «not contacted» directly."""


def change_stage(
    solicitation: Solicitation,
    to: Stage,
    *,
    cause: StageCause,
    by: User | None,
    decline_reason: DeclineReason | None = None,
    note: str = "",
) -> None:
    """Moves the unit to `to` and keeps the move in its history; Refused outside TRANSITIONS."""
    stage = solicitation.stage
    if to not in TRANSITIONS[stage]:
        raise Refused(
            _(
                "不能从“%(stage)s”改为“%(to)s”。请刷新页面后重新选择。",
                stage=stage.label,
                to=to.label,
            )
        )
    if to is Stage.DECLINED and decline_reason is None:
        raise Refused(_("请选择婉拒原因。"))
    solicitation.stage = to
    solicitation.decline_reason = decline_reason if to is Stage.DECLINED else None
    db.session.add(
        StageChange(
            solicitation_id=solicitation.id,
            at=clock.now(),
            by_id=by.id if by else None,
            from_stage=stage,
            to_stage=to,
            cause=cause,
            note=note,
        )
    )


def advance_stage(
    solicitation: Solicitation,
    to: Stage,
    *,
    cause: StageCause,
    by: User | None = None,
    note: str = "",
) -> None:
    """Moves the unit forward to `to`; nothing happens when it is as far or has declined."""
    stage = solicitation.stage
    if stage is not Stage.DECLINED and PATH.index(stage) < PATH.index(to):
        change_stage(solicitation, to, cause=cause, by=by, note=note)


def advance_stages(ids: Sequence[int], to: Stage, *, cause: StageCause, on: date) -> None:
    """`advance_stage` and `record_contact` for many units at once, in two statements; the caller
    holds their rows. What the session has loaded of them is not brought up to date."""
    earlier = [stage for stage in PATH[: PATH.index(to)] if to in TRANSITIONS[stage]]
    values = {"ids": ids, "earlier": earlier, "to": to, "cause": cause, "day": on}
    run(_NOTE_ADVANCES, values | {"now": clock.now()})
    run(_ADVANCE, values)


_S = table_of(Solicitation)
_IS_EARLIER = _S.c.stage.in_(sa.bindparam("earlier", expanding=True))
_NOTE_ADVANCES = sa.insert(table_of(StageChange)).from_select(
    ["solicitation_id", "at", "from_stage", "to_stage", "cause", "note"],
    sa.select(
        _S.c.id,
        sa.bindparam("now", type_=StageChange.at.type),
        _S.c.stage,
        sa.bindparam("to", type_=_S.c.stage.type),
        sa.bindparam("cause", type_=StageChange.cause.type),
        sa.literal(""),
    ).where(among(_S.c.id, "ids"), _IS_EARLIER),
)
_ADVANCE = (
    sa.update(_S)
    .where(
        among(_S.c.id, "ids"),
        sa.or_(
            _IS_EARLIER,
            _S.c.last_contact_on.is_(None),
            _S.c.last_contact_on < sa.bindparam("day"),
        ),
    )
    .values(
        stage=sa.case((_IS_EARLIER, sa.bindparam("to", type_=_S.c.stage.type)), else_=_S.c.stage),
        last_contact_on=sa.case(
            (_S.c.last_contact_on > sa.bindparam("day"), _S.c.last_contact_on),
            else_=sa.bindparam("day"),
        ),
        version=_S.c.version + 1,
    )
)


def record_contact(solicitation: Solicitation, day: date) -> None:
    """Notes that the unit was reached on `day`; an earlier day changes nothing."""
    if solicitation.last_contact_on is None or solicitation.last_contact_on < day:
        solicitation.last_contact_on = day


def plan_next_action(
    solicitation: Solicitation, *, action: str, on: date | None, snoozed_until: date | None
) -> None:
    """Sets what is done next and when, and the last day on which the unit is left in peace."""
    if on is not None and not action:
        raise Refused(_("请填写下一步要做什么。"))
    solicitation.next_action = action
    solicitation.next_action_on = on
    solicitation.snoozed_until = snoozed_until


def note_change_reason(solicitation: Solicitation, reason: ChangeReason | None) -> None:
    """Notes why the unit gives more or less than last year; None when nobody knows."""
    solicitation.change_reason = reason


def assign_solicitor(solicitation: Solicitation, solicitor: User | None) -> None:
    """Makes a member of the office answer for the unit, or nobody."""
    if solicitor and not (solicitor.is_enabled and solicitor.role in OFFICE):
        raise Refused(_("%(name)s不能担任劝募人。请选择在用的工作人员账号。", name=solicitor.name))
    solicitation.solicitor_id = solicitor.id if solicitor else None
    solicitation.solicitor = solicitor
