"""In which order a person makes the visits of a day: as somebody laid it down, and what nobody
placed after that, by district. Visits that have a time are always in the order of their times."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, time
from itertools import groupby, pairwise

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import audit
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.visits.models import OPEN, Visit
from outreach.visits.planning import hold_plans
from outreach.workdays import NOON


def arrange(visits: Iterable[Visit]) -> list[Visit]:
    """The visits of one person's day in their order."""
    order = sorted(_by_district(visits), key=lambda v: (v.position is None, v.position or 0))
    in_time = iter(sorted(_timed(order), key=_time_of))
    return [next(in_time) if visit.planned_time else visit for visit in order]


def place_visit(visit: Visit, *, before: int | None, shown: Sequence[int]) -> None:
    """Puts an open visit of somebody before another one of the same day, or behind all.

    `shown` are the visits of the day in the order that the person has seen; there may be more.
    Conflict when it is another one by now; Refused when visits that have a time would change
    places.
    """
    day = arrange(_lock_day(visit))
    seen = [number for number in shown if number != visit.id]
    is_as_seen = [each.id for each in day if each.id in shown] == list(shown)
    if visit not in day or not is_as_seen or before not in {None, *seen}:
        raise Conflict(_("这一天的走访刚有变动，次序没有保存。请看过最新的次序后再调整。"))
    others = [other for other in day if other is not visit]
    ids = [other.id for other in others]
    place = ids.index(before) if before else ids.index(seen[-1]) + 1 if seen else len(ids)
    order = [*others[:place], visit, *others[place:]]
    _check_times(order)
    for position, each in enumerate(order, 1):
        if each.position != position:
            # Past the version of the row: a phone keeps the form in which the visit is logged,
            # and its place in the day is no reason to refuse the log.
            db.session.execute(
                sa.update(Visit).where(Visit.id == each.id).values(position=position)
            )
    audit.record(
        "place.visit", f"visit:{visit.id}", day=visit.planned_on.isoformat(), place=place + 1
    )


def lock_days(visit: Visit, days: Collection[date]) -> None:
    """Keeps others from changing the visitor's open visits of these days, and the visit, until the
    commit. It comes before anything else is locked: whoever changes a visit holds its row first and
    the plan of its visitor after it."""
    rows = sa.select(Visit.id).where(
        sa.or_(
            Visit.id == visit.id,
            sa.and_(
                Visit.visitor_id == visit.visitor_id,
                Visit.planned_on.in_(days),
                Visit.status.in_(OPEN),
            ),
        )
    )
    db.session.execute(rows.order_by(Visit.id).with_for_update())


def _lock_day(visit: Visit) -> list[Visit]:
    """The open visits of the visitor's day, which nobody else changes until the commit."""
    lock_days(visit, {visit.planned_on})
    hold_plans({visit.visitor_id} if visit.visitor_id else set())
    statement = sa.select(Visit).where(
        Visit.solicitation.has(campaign_id=visit.solicitation.campaign_id),
        Visit.visitor_id == visit.visitor_id,
        Visit.planned_on == visit.planned_on,
        Visit.status.in_(OPEN),
    )
    return list(db.session.scalars(statement, execution_options={"populate_existing": True}))


def _check_times(order: Sequence[Visit]) -> None:
    timed = _timed(order)
    for first, second in pairwise(timed):
        if _time_of(first) > _time_of(second):
            raise Refused(
                _(
                    "%(name)s约在 %(time)s，不能排在%(other)s（%(other_time)s）之前。"
                    "要换先后，请先改时间。",
                    name=first.solicitation.unit.name,
                    time=f"{first.planned_time:%H:%M}",
                    other=second.solicitation.unit.name,
                    other_time=f"{second.planned_time:%H:%M}",
                )
            )


def _timed(visits: Iterable[Visit]) -> list[Visit]:
    return [visit for visit in visits if visit.planned_time]


def _time_of(visit: Visit) -> time:
    return visit.planned_time or NOON


def _by_district(visits: Iterable[Visit]) -> list[Visit]:
    """Within a district by time, address and name; districts by their first fixed time, those
    without one around noon."""
    ordered = sorted(visits, key=_place_in_district)
    groups = [list(group) for _name, group in groupby(ordered, lambda v: _place_in_district(v)[0])]
    return [visit for group in sorted(groups, key=lambda g: _time_of(g[0])) for visit in group]


def _place_in_district(visit: Visit) -> tuple[str, time, str, str]:
    unit = visit.solicitation.unit
    return unit.district, visit.planned_time or time.max, unit.address, unit.name
