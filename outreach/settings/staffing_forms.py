from collections.abc import Mapping, Sequence

from flask_babel import lazy_gettext as _
from wtforms import IntegerField, SelectField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from outreach.accounts.models import User
from outreach.forms import DayField, Form, TermField
from outreach.visits.models import AbsenceKind


def _room(label: object) -> IntegerField:
    fits = NumberRange(0, 20, _("每天的走访次数请填 0 到 20 的整数，不填按活动设置。"))
    return IntegerField(label, [Optional(), fits])


class RoomsForm(Form):
    """Visits by day of the week; empty: what the campaign says of everybody."""

    day0 = _room(_("周一"))
    day1 = _room(_("周二"))
    day2 = _room(_("周三"))
    day3 = _room(_("周四"))
    day4 = _room(_("周五"))

    @classmethod
    def of(cls, rooms: Mapping[int, int]) -> "RoomsForm":
        data = {f"day{weekday}": visits for weekday, visits in rooms.items()}
        return cls(formdata=None, data=data)

    def rooms(self) -> dict[int, int | None]:
        return {weekday: self[f"day{weekday}"].data for weekday in range(5)}


class AbsenceForm(Form):
    user_id = SelectField(_("人员"), coerce=int)
    kind = TermField(_("事由"), AbsenceKind)
    first_on = DayField(_("开始日期"), [InputRequired(_("请填写日期。"))])
    last_on = DayField(_("结束日期"))
    note = StringField(_("说明"), [Length(max=60, message=_("最多 60 个字。"))])

    def offer(self, people: Sequence[User]) -> dict[int, User]:
        """Lets one of these be chosen; returns them by id."""
        self.user_id.choices = [(user.id, user.name) for user in people]
        return {user.id: user for user in people}
