"""Planning, moving and logging visits. Logging moves the unit on and proposes the next step."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach import audit, clock
from outreach.access import OFFICE
from outreach.accounts.models import User
from outreach.audit import AuditEvent
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    DeclineReason,
    Solicitation,
    Stage,
    StageCause,
)
from outreach.campaigns.services import (
    advance_stage,
    change_stage,
    plan_next_action,
    record_contact,
)
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.gifts.services import record_pledge
from outreach.units.models import Contact
from outreach.visits import planning
from outreach.visits.models import OPEN, Visit, VisitOutcome, VisitStatus
from outreach.visits.photos import Picture, add_photos
from outreach.visits.queries import find_by_client_key, list_companions, list_open_or_sent
from outreach.visits.staffing import Rooms
from outreach.web import format_day
from outreach.workdays import Half

DAYS_TO_DISCUSS = 7
"""When the unit did not say how long it needs."""


def plan_visit(
    solicitation: Solicitation,
    *,
    planned_on: date,
    visitor: User,
    planned_time: time | None = None,
    reason: str = "",
    parent: Visit | None = None,
) -> Visit:
    """Plans a visit, alone or with an open one of the same day and visitor; Refused when the unit
    has an open one or the visitor's day is full."""
    _check_place(solicitation.campaign, visitor, planned_on)
    visit = planning.insert_open_visit(
        solicitation_id=solicitation.id,
        visitor_id=visitor.id,
        status=VisitStatus.PLANNED,
        planned_on=planned_on,
        planned_time=planned_time,
        reason=reason,
        parent_id=parent.id if parent else None,
    )
    if visit is None:
        raise Refused(_("这个单位已有一次待走访的安排。请改期或取消那一次。"))
    audit.record("plan.visit", f"visit:{visit.id}", day=planned_on.isoformat(), visitor=visitor.id)
    return visit


def confirm_visit(visit: Visit, *, by: User) -> None:
    """Turns a proposal into a plan; one without a visitor becomes the plan of who confirms."""
    lock_open_visit(visit)
    if visit.status is VisitStatus.PLANNED:
        return
    if visit.planned_on < clock.today():
        raise Refused(_("建议的日期已过，请改期。"))
    if visit.visitor_id is None:
        _check_place(visit.solicitation.campaign, by, visit.planned_on)
        visit.visitor_id = by.id
    visit.status = VisitStatus.PLANNED
    audit.record("confirm.visit", f"visit:{visit.id}")


def move_visit(
    visit: Visit,
    *,
    planned_on: date,
    visitor: User,
    planned_time: time | None = None,
    parent: Visit | None = None,
) -> None:
    """Gives an open visit another day or visitor; who moves a proposal has confirmed it. Visits
    that are made with it go along, and the unit's next step when it is on that day. From then on
    it is made alone, or with `parent`, an open visit of that day and visitor."""
    lock_rows({visit.id, *(companion.id for companion in list_companions(visit))})
    lock_open_visit(visit)
    party = [visit, *_lock_companions(visit)]
    if parent in party:
        raise Refused(_("这次走访不能跟随自己，也不能跟随与它同行的走访。"))
    visit.parent_id = parent.id if parent else None
    if (visit.visitor_id, visit.planned_on) != (visitor.id, planned_on):
        _check_place(visit.solicitation.campaign, visitor, planned_on, count=len(party))
        for member in party:
            if member.solicitation.next_action_on == member.planned_on:
                member.solicitation.next_action_on = planned_on
            member.planned_on = planned_on
            member.visitor_id = visitor.id
            member.position = None
    visit.planned_time = planned_time
    visit.status = VisitStatus.PLANNED
    audit.record("move.visit", f"visit:{visit.id}", day=planned_on.isoformat(), visitor=visitor.id)


def tell_closed(visit: Visit) -> LazyString | None:
    """That the unit does not receive visitors when the visit is planned; None when it does, as far
    as is known. Who plans by hand may have asked."""
    unit, day = visit.solicitation.unit, visit.planned_on
    names = {"unit": unit.name, "day": format_day(day), "hours": unit.visit_hours}
    if not unit.receives_on(day):
        return _("%(unit)s %(day)s 不接待来访（接待：%(hours)s）。如未说好，请改期。", **names)
    visitor_id = visit.visitor_id
    free = Rooms(0, [visitor_id]).half_of(visitor_id, day) if visitor_id else None
    half = Half.of(visit.planned_time) if visit.planned_time else free
    if half is None or unit.half_on(day) in {None, half}:
        return None
    return _(
        "走访排在%(half)s，%(unit)s %(day)s 这时不接待来访（接待：%(hours)s）。如未说好，请改期。",
        half=half.label,
        **names,
    )


def separate_visit(visit: Visit) -> None:
    """Lets an open visit stay where it is, and not go along with another one any more."""
    lock_open_visit(visit)
    visit.parent_id = None
    audit.record("separate.visit", f"visit:{visit.id}")


def drop_visit(visit: Visit, *, reason: str, drops_companions: bool = False) -> int:
    """Takes an open visit off the plan. What it was proposed for is not proposed again. Visits that
    are made with it are dropped, too, or stay and are made alone; how many there are."""
    if not reason:
        raise Refused(_("请填写取消原因。"))
    lock_rows({visit.id, *(companion.id for companion in list_companions(visit))})
    lock_open_visit(visit)
    companions = _lock_companions(visit)
    for companion in companions:
        if companion.parent_id == visit.id:
            companion.parent_id = None
    for dropped in (visit, *companions) if drops_companions else (visit,):
        dropped.status = VisitStatus.DROPPED
        dropped.note = reason
        audit.record("drop.visit", f"visit:{dropped.id}")
    return len(companions)


def start_unplanned_visit(
    solicitation: Solicitation, *, by: User, client_key: str | None = None
) -> Visit:
    """The visit that a person logs who went without a plan: the unit's open visit, which is now
    theirs, or a new one. `log_visit` comes next in the same transaction."""
    known = list_open_or_sent(solicitation.id, client_key)
    for visit in known:
        if client_key and visit.client_key == client_key:
            return visit
    for visit in known:
        lock_visit(visit)
        if visit.is_open:
            visit.visitor_id = by.id
            return visit
    started = planning.insert_open_visit(
        solicitation_id=solicitation.id,
        visitor_id=by.id,
        status=VisitStatus.PLANNED,
        planned_on=clock.today(),
        reason=str(_("临时走访")),
        client_key=client_key,
    )
    if started is not None:
        return started
    sent_before = find_by_client_key(client_key)
    if sent_before is None:
        raise Conflict(_("他人刚为这个单位安排了走访。请刷新页面后再登记。"))
    return sent_before


def log_visit(  # noqa: PLR0913
    visit: Visit,
    *,
    outcome: VisitOutcome,
    by: User | None,
    note: str = "",
    pictures: Sequence[Picture] = (),
    pledge_fen: int | None = None,
    pledge_due_on: date | None = None,
    next_on: date | None = None,
    decline_reason: DeclineReason | None = None,
    visited_on: date | None = None,
    client_key: str | None = None,
) -> Visit:
    """Logs what came of a visit, with everything that follows for the unit.

    Returns the visit that was logged: the one before, when the same `client_key` was sent before.
    Conflict when somebody else has logged or dropped it.
    """
    # One that was started for this log just now has the key: no other can have it.
    sent_before = find_by_client_key(client_key) if visit.client_key != client_key else None
    if sent_before is not None and sent_before.status is VisitStatus.LOGGED:
        return sent_before
    lock_visit(visit)
    if client_key and visit.client_key == client_key and visit.status is VisitStatus.LOGGED:
        return visit
    _refuse_closed(visit)
    report = Report(
        outcome=outcome,
        by=by,
        note=note,
        visited_on=visited_on or clock.today(),
        pledge_fen=pledge_fen,
        pledge_due_on=pledge_due_on,
        next_on=next_on,
        decline_reason=decline_reason,
    )
    report.check()
    visit.client_key = client_key
    report.write(visit)
    report.move_on(visit)
    add_photos(visit, pictures, by=by)
    audit.record("log.visit", f"visit:{visit.id}", outcome=outcome.value, photos=len(pictures))
    return visit


@dataclass
class Report:
    """What a visitor brings home."""

    outcome: VisitOutcome
    by: User | None
    note: str
    visited_on: date
    pledge_fen: int | None
    pledge_due_on: date | None
    next_on: date | None
    decline_reason: DeclineReason | None

    def check(self) -> None:
        """Refused when something is missing that the outcome needs, or a day cannot be."""
        is_pledge = self.outcome is VisitOutcome.PLEDGED
        wants_day = self.outcome is VisitOutcome.COME_AGAIN and self.next_on is None
        wants_cause = self.outcome is VisitOutcome.DECLINED and self.decline_reason is None
        problems: tuple[tuple[bool, LazyString], ...] = (
            (self.visited_on > clock.today(), _("走访日期不能晚于今天。")),
            (is_pledge and not self.pledge_fen, _("请填写认捐金额。")),
            (is_pledge and self.pledge_due_on is None, _("请选择约定到账的日期。")),
            (
                is_pledge and (self.pledge_due_on or date.max) < clock.today(),
                _("约定到账的日期不能早于今天。"),
            ),
            (wants_day, _("请选择下次走访的日期。")),
            (wants_cause, _("请选择婉拒原因。")),
            ((self.next_on or date.max) <= clock.today(), _("下次联系的日期应晚于今天。")),
        )
        for is_wrong, message in problems:
            if is_wrong:
                raise Refused(message)

    def write(self, visit: Visit) -> None:
        if self.outcome is VisitOutcome.WILL_DISCUSS and self.next_on is None:
            self.next_on = clock.today() + timedelta(days=DAYS_TO_DISCUSS)
        if self.outcome not in planning.FOLLOWED:
            self.next_on = None
        visit.status = VisitStatus.LOGGED
        visit.outcome = self.outcome
        visit.note = self.note
        visit.next_on = self.next_on
        visit.planned_on = self.visited_on
        visit.logged_at = clock.now()
        if visit.visitor_id is None and self.by is not None:
            visit.visitor_id = self.by.id

    def move_on(self, visit: Visit) -> None:
        """Stage, last contact and next step of the unit."""
        solicitation = visit.solicitation
        record_contact(solicitation, self.visited_on)
        if self.outcome is VisitOutcome.DECLINED:
            self._decline(solicitation)
            return
        self._advance(solicitation)
        if self.outcome is VisitOutcome.PLEDGED:
            self._pledge(solicitation)
            return
        rest = solicitation.snoozed_until
        if self.next_on is not None:
            # The unit named a day: nobody asks before it.
            rest = max(self.next_on - timedelta(days=1), rest or date.min)
            rest = rest if rest > clock.today() else None
        plan_next_action(
            solicitation, action=self._next_action(), on=self.next_on, snoozed_until=rest
        )
        db.session.flush()
        proposed = planning.propose_after(visit)
        if proposed is not None and proposed.kind is not None:
            solicitation.next_action = str(proposed.kind.label)
        if self.next_on is None:
            solicitation.next_action_on = proposed.on if proposed else None

    def _next_action(self) -> str:
        if self.outcome is VisitOutcome.WILL_DISCUSS:
            return str(_("了解研究结果"))
        return str(_("再次走访"))

    def _advance(self, solicitation: Solicitation) -> None:
        """A unit that had declined and now talks again is taken up again; a closed door is not
        talk, and a promise takes it up by itself."""
        talks = self.outcome in {VisitOutcome.WILL_DISCUSS, VisitOutcome.COME_AGAIN}
        if talks and solicitation.stage is Stage.DECLINED:
            change_stage(solicitation, Stage.VISITED, cause=StageCause.VISIT, by=self.by)
        advance_stage(solicitation, Stage.VISITED, cause=StageCause.VISIT, by=self.by)

    def _pledge(self, solicitation: Solicitation) -> None:
        assert self.pledge_fen is not None
        assert self.pledge_due_on is not None
        record_pledge(
            solicitation, amount_fen=self.pledge_fen, due_on=self.pledge_due_on, by=self.by
        )
        plan_next_action(
            solicitation,
            action=str(_("核对认捐是否到账")),
            on=self.pledge_due_on,
            snoozed_until=solicitation.snoozed_until,
        )

    def _decline(self, solicitation: Solicitation) -> None:
        if solicitation.stage is not Stage.DECLINED:
            change_stage(
                solicitation,
                Stage.DECLINED,
                cause=StageCause.VISIT,
                by=self.by,
                decline_reason=self.decline_reason,
                note=self.note[:200],
            )
        plan_next_action(solicitation, action="", on=None, snoozed_until=None)


def propose_follow_ups(campaign: Campaign) -> int:
    """How many visits were proposed; see `planning.propose_follow_ups`."""
    return planning.propose_follow_ups(campaign).count


def list_unnoted(contacts: Iterable[Contact | None], by: User) -> list[str]:
    """Those of the contacts (as audit subjects) whose numbers this person has not seen today."""
    subjects = {f"contact:{contact.id}" for contact in contacts if contact and contact.mobile}
    seen = db.session.scalars(
        sa.select(AuditEvent.subject).where(
            AuditEvent.action == "reveal.contact",
            AuditEvent.user_id == by.id,
            AuditEvent.at >= clock.start_of(clock.today()),
            AuditEvent.subject.in_(subjects),
        )
    )
    return sorted(subjects - set(seen))


def record_reveals(subjects: Iterable[str]) -> None:
    """Notes that the person who is signed in has seen these contacts' numbers."""
    for subject in subjects:
        audit.record("reveal.contact", subject, page="my_day")


def lock_rows(ids: Collection[int]) -> None:
    """Several visits at once, in the order of their ids and before anything else is locked, so that
    two who need the same ones never wait for each other in a circle."""
    rows = sa.select(Visit.id).where(Visit.id.in_(ids)).order_by(Visit.id).with_for_update()
    db.session.execute(rows)


def lock_visit(visit: Visit) -> None:
    """Reads visit and unit anew and keeps others from changing them until the commit."""
    db.session.flush()
    db.session.execute(
        sa.select(Visit, Solicitation)
        .join(Visit.solicitation)
        .where(Visit.id == visit.id)
        # Not a full lock: rows of others may refer to these meanwhile.
        .with_for_update(key_share=True, of=(Visit, Solicitation)),
        execution_options={"populate_existing": True},
    ).one()


def lock_open_visit(visit: Visit) -> None:
    """The same; Conflict when it was logged or dropped meanwhile."""
    lock_visit(visit)
    _refuse_closed(visit)


def _refuse_closed(visit: Visit) -> None:
    if visit.status is VisitStatus.LOGGED:
        raise Conflict(
            _(
                "%(name)s已登记了这次走访（%(outcome)s）。",
                name=visit.visitor.name if visit.visitor else _("他人"),
                outcome=visit.outcome.label if visit.outcome else "",
            )
        )
    if visit.status is VisitStatus.DROPPED:
        raise Conflict(_("这次走访已取消。如仍要走访，请重新安排。"))


def _lock_companions(visit: Visit) -> list[Visit]:
    """The open visits that are made with this one, and with those; held until the commit."""
    companions: list[Visit] = []
    ids = [visit.id]
    while ids:
        found = db.session.scalars(
            sa.select(Visit)
            .where(Visit.parent_id.in_(ids), Visit.status.in_(OPEN))
            .order_by(Visit.id)
            .with_for_update(),
            execution_options={"populate_existing": True},
        ).all()
        companions += found
        ids = [companion.id for companion in found]
    return companions


def _check_place(campaign: Campaign, visitor: User, day: date, *, count: int = 1) -> None:
    """Holds the visitor's plan and looks whether so many visits on this day are possible."""
    if campaign.status is not CampaignStatus.RUNNING:
        raise Refused(_("活动未在进行，不能安排走访。"))
    if not (visitor.is_enabled and visitor.role in OFFICE):
        raise Refused(_("%(name)s不能担任走访人。请选择在用的工作人员账号。", name=visitor.name))
    if day < clock.today():
        raise Refused(_("走访日期不能早于今天。"))
    if day > campaign.ends_on:
        raise Refused(
            _("活动于 %(day)s 结束，请选择之前的日期。", day=format_day(campaign.ends_on))
        )
    plan = planning.DayPlan(campaign, [visitor.id])
    if plan.count_room(visitor.id, day) < count:
        room = plan.rooms.of(visitor.id, day)
        if room == 0:
            raise Refused(
                _(
                    "%(name)s %(day)s 不能走访（见“设置 → 走访时间”）。请改选日期或走访人。",
                    name=visitor.name,
                    day=format_day(day),
                )
            )
        if count > 1:
            raise Refused(
                _(
                    "同行的共 %(count)s 家，%(name)s %(day)s 排不下。请改选日期或走访人。",
                    count=count,
                    name=visitor.name,
                    day=format_day(day),
                )
            )
        raise Refused(
            _(
                "%(name)s %(day)s 已排满 %(count)s 次走访。请改选日期或走访人。",
                name=visitor.name,
                day=format_day(day),
                count=room,
            )
        )
