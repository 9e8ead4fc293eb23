from collections.abc import Sequence

from flask_babel import lazy_gettext as _
from wtforms import HiddenField, SelectChoice, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from outreach.accounts.models import User
from outreach.forms import DayField, Form, TermField
from outreach.todos.models import TodoOutcome

TOO_LONG = _("最多 500 个字。")


class SettleForm(Form):
    """Its page shows one button for each outcome."""

    outcome = TermField(_("结果"), TodoOutcome)
    note = TextAreaField(_("备注"), [Length(max=500, message=TOO_LONG)])
    client_key = HiddenField(validators=[Length(max=36)])


class DropForm(Form):
    reason = StringField(
        _("为什么不必办"),
        [InputRequired(_("请填写不必办的原因。")), Length(max=500, message=TOO_LONG)],
    )


class HandOverForm(Form):
    owner_id = SelectField(_("承办人"), coerce=int)
    due_on = DayField(_("期限"), [InputRequired(_("请填写期限。"))])

    def offer(self, owners: Sequence[User]) -> dict[int, User]:
        """Lets one of these be chosen; returns them by id."""
        self.owner_id.choices = [SelectChoice(user.id, user.name) for user in owners]
        return {user.id: user for user in owners}
