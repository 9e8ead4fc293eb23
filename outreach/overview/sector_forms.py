"""Input of changes to the sectors of a campaign."""

from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import BooleanField, SelectChoice, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length, ValidationError

from outreach.campaigns.models import Sector
from outreach.forms import Form

LONGEST_NAME = Length(max=60, message=_("板块名称不能超过 60 字。"))
LONGEST_REASON = Length(max=200, message=_("原因不能超过 200 字。"))


class SectorNameForm(Form):
    name = StringField(_("板块名称"), [InputRequired(_("请填写板块名称。")), LONGEST_NAME])


class MoveForm(Form):
    """Which units of a sector go, and where to."""

    units = SelectMultipleField(_("单位"), coerce=int)
    to = SelectField(_("移到"), coerce=int)
    name = StringField(_("新板块名称"), [LONGEST_NAME], default="")
    takes_own = BooleanField(_("直接记在本板块上的到账也移过去"))
    reason = StringField(
        _("原因"), [InputRequired(_("请填写原因，会记在单位的往来记录里。")), LONGEST_REASON]
    )

    def __init__(self, others: list[Sector], unit_ids: list[int], **defaults: Any) -> None:
        super().__init__(**defaults)
        self.to.choices = [
            SelectChoice(0, _("新建板块（拆分）")),
            *(SelectChoice(sector.id, sector.name) for sector in others),
        ]
        self.units.choices = [SelectChoice(id_, str(id_)) for id_ in unit_ids]

    def validate_units(self, field: SelectMultipleField) -> None:
        if not field.data and not self.takes_own.data:
            raise ValidationError(_("请勾选要移动的单位。"))

    def validate_name(self, field: StringField) -> None:
        if not self.to.data and not field.data:
            raise ValidationError(_("请填写新板块的名称。"))


class MergeForm(Form):
    """Which sectors go into another, and what that is called then."""

    others = SelectMultipleField(_("并入的板块"), coerce=int)
    name = StringField(_("合并后的名称"), [InputRequired(_("请填写板块名称。")), LONGEST_NAME])
    reason = StringField(
        _("原因"), [InputRequired(_("请填写原因，会记在单位的往来记录里。")), LONGEST_REASON]
    )

    def __init__(self, others: list[Sector], **defaults: Any) -> None:
        super().__init__(**defaults)
        self.others.choices = [SelectChoice(sector.id, sector.name) for sector in others]

    def validate_others(self, field: SelectMultipleField) -> None:
        if not field.data:
            raise ValidationError(_("请勾选要并入的板块。"))
