"""Filters of the work list, and the changes that can be made to many units at once."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import date
from typing import Any, Self, TypeVar

from flask_babel import lazy_gettext as _
from werkzeug.datastructures import MultiDict
from wtforms import HiddenField, SelectField, StringField
from wtforms.validators import Length, ValidationError

from outreach import clock
from outreach.forms import DayField, Form, list_choices
from outreach.gifts.standings import Standing, Status
from outreach.terms import Term

Member = TypeVar("Member", bound=Term)


class Order(Term):
    NEXT_ACTION = "next_action", _("下一步日期")
    PREVIOUS = "previous", _("上年度金额")
    SILENT = "silent", _("未联系天数")
    SECTOR = "sector", _("板块")


@dataclass(frozen=True)
class WorklistFilter:
    """What the query string of the work list asks for; unknown values count as not given."""

    sector_id: int | None = None
    solicitor_id: int | None = None
    status: Status | None = None
    search: str = ""
    shows_all: bool = False
    is_due: bool = False
    has_todo: bool = False
    order: Order = Order.NEXT_ACTION

    @classmethod
    def read(cls, arguments: MultiDict[str, str]) -> Self:
        return cls(
            sector_id=arguments.get("sector", type=int),
            solicitor_id=arguments.get("solicitor", type=int),
            status=_find(Status, arguments.get("status")),
            search=arguments.get("q", "").strip(),
            shows_all="all" in arguments,
            is_due="due" in arguments,
            has_todo="todo" in arguments,
            order=_find(Order, arguments.get("order")) or Order.NEXT_ACTION,
        )

    def apply(self, standings: list[Standing], waiting: Set[int]) -> list[Standing]:
        """What SQL has not narrowed yet, in the order that was asked for; `waiting` are the units
        with an open to-do."""
        today = clock.today()
        kept = [
            standing
            for standing in standings
            if (self.status is None or standing.status is self.status)
            and (not self.is_due or _is_due(standing, today))
            and (not self.has_todo or standing.solicitation.unit_id in waiting)
        ]
        return sorted(kept, key=lambda standing: _sort_key(self.order, standing))

    def arguments(self) -> dict[str, Any]:
        """The same filter as arguments of `url_for`."""
        given = {
            "sector": self.sector_id,
            "solicitor": self.solicitor_id,
            "status": self.status and self.status.value,
            "q": self.search,
            "all": 1 if self.shows_all else None,
            "due": 1 if self.is_due else None,
            "todo": 1 if self.has_todo else None,
            "order": None if self.order is Order.NEXT_ACTION else self.order.value,
        }
        return {name: value for name, value in given.items() if value}


class BulkKind(Term):
    ASSIGN = "assign", _("指定劝募人")
    PLAN = "plan", _("安排下一步")
    SNOOZE = "snooze", _("暂缓联系")


class BulkForm(Form):
    kind = SelectField(_("批量操作"), choices=list_choices(BulkKind))
    solicitor = SelectField(_("劝募人"), coerce=int, validate_choice=True)
    action = StringField(_("下一步"), [Length(max=120)])
    on = DayField(_("日期"))
    snoozed_until = DayField(_("暂缓到"))
    is_confirmed = HiddenField()

    def validate_action(self, field: StringField) -> None:
        if self.kind.data == BulkKind.PLAN and not field.data:
            raise ValidationError(_("请填写下一步做什么，例如“电话确认联络员”。"))

    def validate_on(self, field: DayField) -> None:
        if self.kind.data == BulkKind.PLAN and field.data is None:
            raise ValidationError(_("请选择日期。"))

    def validate_snoozed_until(self, field: DayField) -> None:
        if self.kind.data == BulkKind.SNOOZE and (
            field.data is None or field.data <= clock.today()
        ):
            raise ValidationError(_("请选择今天以后的日期。"))


def _find(terms: type[Member], value: str | None) -> Member | None:
    return next((term for term in terms if term.value == value), None)


def _is_due(standing: Standing, today: date) -> bool:
    on = standing.solicitation.next_action_on
    return on is not None and on <= today


def _sort_key(order: Order, standing: Standing) -> tuple[Any, ...]:
    solicitation = standing.solicitation
    match order:
        case Order.PREVIOUS:
            return (-standing.previous_fen,)
        case Order.SILENT:
            return (-standing.days_silent,)
        case Order.SECTOR:
            return (solicitation.sector.position, -standing.previous_fen)
    return (solicitation.next_action_on or date.max, -standing.previous_fen)
