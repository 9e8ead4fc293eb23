"""When people of the office have time for visits: room by day of the week, leave, meetings."""

from collections.abc import Callable, Collection, Mapping, Set
from datetime import date

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _

from outreach import audit
from outreach.accounts.models import User
from outreach.db import db
from outreach.errors import NotFound, Refused
from outreach.visits.models import Absence, AbsenceKind, StaffRoom
from outreach.workdays import Half

ReadEngagements = Callable[[Collection[int]], Set[tuple[int, date, Half]]]
"""Who of some people is at a meeting in which half of a day: meetings are beside this package, so
the reader is handed over where the application is put together."""


class Rooms:
    """How many visits each of some people can make on a day, whatever is planned already."""

    def __init__(self, default: int, user_ids: Collection[int]) -> None:
        self._default = default
        rows = db.session.scalars(sa.select(StaffRoom).where(StaffRoom.user_id.in_(user_ids)))
        self._visits = {(row.user_id, row.weekday): row.visits for row in rows}
        self._absences = list_absences(user_ids)
        read_engagements: ReadEngagements = current_app.extensions["outreach.engagements"]
        self._engagements = read_engagements(user_ids)

    def of(self, user_id: int, day: date) -> int:
        visits = self._visits.get((user_id, day.weekday()), self._default)
        kinds = {absence.kind for absence in self.absences_of(user_id, day)}
        if AbsenceKind.LEAVE in kinds or self._taken(user_id, day) >= set(Half):
            return 0
        return visits // 2 if kinds or self.has_meeting(user_id, day) else visits

    def has_meeting(self, user_id: int, day: date) -> bool:
        """A coordination meeting."""
        return any((user_id, day, half) in self._engagements for half in Half)

    def half_of(self, user_id: int, day: date) -> Half | None:
        """The half of the day that is left; None where it is all of it, or nobody knows which."""
        taken = self._taken(user_id, day)
        return next((half for half in Half if half not in taken), None) if taken else None

    def _taken(self, user_id: int, day: date) -> set[Half]:
        absent = {absence.kind.half for absence in self.absences_of(user_id, day)}
        return {
            half for half in Half if half in absent or (user_id, day, half) in self._engagements
        }

    def absences_of(self, user_id: int, day: date) -> list[Absence]:
        return [
            absence
            for absence in self._absences
            if absence.user_id == user_id and absence.first_on <= day <= absence.last_on
        ]


def list_absences(user_ids: Collection[int], since: date = date.min) -> list[Absence]:
    """Those that end on `since` or later, by day."""
    return list(
        db.session.scalars(
            sa.select(Absence)
            .where(Absence.user_id.in_(user_ids), Absence.last_on >= since)
            .order_by(Absence.first_on, Absence.id)
        )
    )


def read_rooms(user: User) -> dict[int, int]:
    """By day of the week; a day without one has the campaign's."""
    rows = db.session.scalars(sa.select(StaffRoom).filter_by(user_id=user.id))
    return {row.weekday: row.visits for row in rows}


def set_rooms(user: User, rooms: Mapping[int, int | None]) -> None:
    """By day of the week; None: what the campaign says of everybody. What is planned stays."""
    for weekday, visits in rooms.items():
        if visits is None:
            db.session.execute(sa.delete(StaffRoom).filter_by(user_id=user.id, weekday=weekday))
        else:
            db.session.merge(StaffRoom(user_id=user.id, weekday=weekday, visits=visits))
    told = {str(weekday): visits for weekday, visits in rooms.items()}
    audit.record("change.staff_room", f"user_account:{user.id}", rooms=told)


def add_absence(
    user: User, kind: AbsenceKind, first_on: date, last_on: date, note: str = ""
) -> Absence:
    """Refused when the period is upside down. Visits that are planned in it stay and are shown."""
    if last_on < first_on:
        raise Refused(_("结束日期不能早于开始日期。"))
    absence = Absence(user_id=user.id, kind=kind, first_on=first_on, last_on=last_on, note=note)
    db.session.add(absence)
    db.session.flush()
    audit.record(
        "add.absence",
        f"user_account:{user.id}",
        kind=kind.value,
        first=first_on.isoformat(),
        last=last_on.isoformat(),
    )
    return absence


def remove_absence(absence_id: int) -> Absence:
    absence = db.session.get(Absence, absence_id)
    if absence is None:
        raise NotFound(_("这条请假或会议已删除。"))
    audit.record(
        "remove.absence", f"user_account:{absence.user_id}", first=absence.first_on.isoformat()
    )
    db.session.delete(absence)
    return absence
