from flask_babel import lazy_gettext as _
from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length

from outreach.forms import Form

_BASIS = [
    InputRequired(_("请写明是谁、怎样提出的，以及怎样核实的。")),
    Length(max=200, message=_("最多 200 个字。")),
]


class CopyForm(Form):
    basis = StringField(_("依据"), _BASIS)


class ErasureForm(Form):
    basis = StringField(_("依据"), _BASIS)
    is_kept_out = BooleanField(_("以后也不再联系这些号码和邮箱（登记退订）"), default=True)
    is_sure = BooleanField(
        _("我已核实是本人要求，并知道删除后无法恢复"),
        [InputRequired(_("请先核实，再勾选这一项。"))],
    )
