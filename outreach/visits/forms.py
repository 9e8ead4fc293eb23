from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import (
    HiddenField,
    SelectField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.validators import InputRequired, Length, Optional

from outreach.accounts.models import User
from outreach.campaigns.models import DeclineReason
from outreach.forms import DayField, Form, TermField, YuanField, positive
from outreach.visits.models import VisitOutcome


class LogVisitForm(Form):
    outcome = TermField(_("走访结果"), VisitOutcome)
    pledge_fen = YuanField(_("认捐金额（元）"), [Optional(), positive])
    pledge_due_on = DayField(_("约定到账日期"))
    next_on = DayField(_("下次联系日期"))
    decline_reason = TermField(_("婉拒原因"), DeclineReason, blank=_("请选择"))
    note = TextAreaField(_("备注"), [Length(max=1000)])
    visited_on = DayField(_("走访日期"), [InputRequired(_("请填写走访日期。"))])
    client_key = HiddenField(validators=[Length(max=36)])

    def facts(self) -> dict[str, Any]:
        """The arguments of `services.log_visit`, without what belongs to another outcome."""
        outcome = self.outcome.data
        is_pledge = outcome is VisitOutcome.PLEDGED
        is_declined = outcome is VisitOutcome.DECLINED
        return {
            "outcome": outcome,
            "note": self.note.data or "",
            "visited_on": self.visited_on.data,
            "client_key": self.client_key.data or None,
            "pledge_fen": self.pledge_fen.data if is_pledge else None,
            "pledge_due_on": self.pledge_due_on.data if is_pledge else None,
            "next_on": None if is_pledge or is_declined else self.next_on.data,
            "decline_reason": (self.decline_reason.data or None) if is_declined else None,
        }


class PlaceForm(Form):
    """When a visit is made, and by whom."""

    planned_on = DayField(_("日期"), [InputRequired(_("请填写日期。"))])
    planned_time = TimeField(_("时间"), [Optional()])
    visitor_id = SelectField(_("走访人"), coerce=int)

    def offer(self, visitors: Sequence[User]) -> dict[int, User]:
        """Lets one of these be chosen; returns them by id."""
        self.visitor_id.choices = [(user.id, user.name) for user in visitors]
        return {user.id: user for user in visitors}


class PlanVisitForm(PlaceForm):
    reason = StringField(_("事由"), [Length(max=200)])


class DropVisitForm(Form):
    reason = StringField(_("取消原因"), [InputRequired(_("请填写取消原因。")), Length(max=1000)])
