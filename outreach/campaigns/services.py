"""Changes to where a unit stands. Every change of stage goes through `change_stage`."""

from datetime import date
from typing import Final

from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.access import OFFICE
from outreach.accounts.models import User
from outreach.campaigns.models import (
    DeclineReason,
    Solicitation,
    Stage,
    StageCause,
    StageChange,
)
from outreach.db import db
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


def assign_solicitor(solicitation: Solicitation, solicitor: User | None) -> None:
    """Makes a member of the office answer for the unit, or nobody."""
    if solicitor and not (solicitor.is_enabled and solicitor.role in OFFICE):
        raise Refused(_("%(name)s不能担任责任人。请选择在用的工作人员账号。", name=solicitor.name))
    solicitation.solicitor_id = solicitor.id if solicitor else None
    solicitation.solicitor = solicitor
