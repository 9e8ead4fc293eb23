"""Input of gifts that are entered together: rows, and the figure that they are held against."""

from typing import Any
from uuid import uuid4

from flask_babel import lazy_gettext as _
from wtforms import BooleanField, FieldList, FormField, HiddenField, IntegerField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional, ValidationError

from outreach import clock
from outreach.campaigns.models import Campaign, Sector, Solicitation
from outreach.forms import DayField, Form, TermField, YuanField, positive
from outreach.gifts.forms import find_unit
from outreach.gifts.groups import Part, Payment, Tally
from outreach.gifts.models import GiftBasis, GiftChannel, GiftKind, StatementLine

MOST_ROWS = 200
MORE_ROWS = 10
"""Rows that are added at a time where no script adds them."""


class PartForm(Form):
    """A row; one in which nothing was typed does not count."""

    class Meta(Form.Meta):
        csrf = False

    unit = StringField(_("单位"), [Length(max=120, message=_("不能超过 120 字。"))], default="")
    amount_fen = YuanField(_("金额（元）"), [InputRequired(_("请填写金额。")), positive])
    kind = TermField(_("类型"), GiftKind)
    donor_count = IntegerField(
        _("人数"), [Optional(), NumberRange(0, 9_999_999, _("请填写人数，或留空。"))]
    )
    designation = StringField(
        _("指定用途"), [Length(max=120, message=_("不能超过 120 字。"))], default=""
    )

    target: Solicitation | Sector | None = None
    """Whose gift it is, once the unit was found."""

    @property
    def is_blank(self) -> bool:
        typed = (self.unit, self.amount_fen, self.donor_count, self.designation)
        return not any("".join(field.raw_data or ()).strip() for field in typed)

    def validate(self, extra_validators: Any = None) -> bool:
        return self.is_blank or super().validate(extra_validators)

    def part(self) -> Part:
        target = self.target
        return Part(
            amount_fen=self.amount_fen.data or 0,
            kind=self.kind.data,
            unit=target.unit if isinstance(target, Solicitation) else None,
            sector=target if isinstance(target, Sector) else None,
            donor_count=self.donor_count.data or 0,
            designation=self.designation.data,
        )


class PartsForm(Form):
    """Rows of gifts that belong together."""

    key = HiddenField(validators=[Length(max=40)])
    """Made with the page: the same page sent twice is one group."""
    may_publish = BooleanField(_("捐赠方同意公开姓名或单位名称"))
    rows = FieldList(FormField(PartForm))

    first_rows = 3
    same_as_above = False
    """A row without unit belongs to the unit above."""

    def __init__(self, campaign: Campaign, **defaults: Any) -> None:
        super().__init__(data={"key": uuid4().hex} | defaults)
        self.campaign = campaign
        self._found: dict[str, Solicitation | Sector] = {
            sector.name: sector for sector in campaign.sectors
        }
        while len(self.rows) < self.first_rows:
            self.rows.append_entry()

    @property
    def filled(self) -> list[PartForm]:
        forms: list[PartForm] = [entry.form for entry in self.rows]
        return [form for form in forms if not form.is_blank]

    @property
    def entered(self) -> Tally:
        """What the rows come to as they stand, as far as they can be read."""
        return Tally(len(self.filled), sum(row.amount_fen.data or 0 for row in self.filled))

    @property
    def most_rows(self) -> int:
        return MOST_ROWS

    @property
    def blank_row(self) -> PartForm:
        """What a script makes new rows from."""
        return PartForm(formdata=None, prefix="rows-__n__-")

    def add_rows(self) -> None:
        for _number in range(min(MORE_ROWS, MOST_ROWS - len(self.rows))):
            self.rows.append_entry()

    def parts(self) -> list[Part]:
        return [row.part() for row in self.filled]

    def validate_rows(self, field: FieldList) -> None:
        if len(self.filled) > MOST_ROWS:
            raise ValidationError(_("一次最多 %(most)s 行，请分几批登记。", most=MOST_ROWS))
        self._find_targets()
        if any(row.errors for row in self.filled):
            raise ValidationError(_("有几行需要改正，请看各行的说明。"))

    def _find_targets(self) -> None:
        above = None
        for row in self.filled:
            name = row.unit.data
            try:
                if name:
                    row.target = self._find(name)
                elif self.same_as_above and row is not self.filled[0]:
                    row.target = above
                else:
                    raise ValidationError(_("请填写单位。"))
            except ValidationError as error:
                row.unit.errors = [*row.unit.errors, str(error)]
            above = row.target

    def _find(self, name: str) -> Solicitation | Sector:
        if name not in self._found:
            self._found[name] = find_unit(self.campaign, name)
        return self._found[name]


class GroupForm(PartsForm):
    """What the gifts have in common, as a person types it."""

    received_on = DayField(_("到账日期"), [InputRequired(_("请填写到账日期。"))])
    channel = TermField(_("方式"), GiftChannel)
    basis = TermField(_("入账情况"), GiftBasis)
    reference = StringField(
        _("流水号或凭证号"), [Length(max=80, message=_("不能超过 80 字。"))], default=""
    )
    note = StringField(_("备注"), [Length(max=200, message=_("不能超过 200 字。"))], default="")

    def __init__(self, campaign: Campaign, **defaults: Any) -> None:
        super().__init__(campaign, **{"received_on": clock.today()} | defaults)

    def payment(self) -> Payment:
        names = ("received_on", "channel", "basis", "reference", "note", "may_publish")
        return Payment(**{name: self[name].data for name in names})

    def validate_received_on(self, field: DayField) -> None:
        if field.data and field.data > clock.today():
            raise ValidationError(_("到账日期不能晚于今天。"))


class LinePartsForm(PartsForm):
    """The parts of a line, of which the bank has said the rest. What is proposed for it comes
    first: the unit's own money, then that of its people."""

    same_as_above = True

    def __init__(self, campaign: Campaign, line: StatementLine) -> None:
        super().__init__(campaign)
        self.line = line
        if not self.is_submitted():
            if line.candidates:
                self.rows[0].form.unit.data = line.candidates[0].solicitation.unit.name
            self.rows[1].form.kind.data = GiftKind.INDIVIDUAL


class RemittanceForm(GroupForm):
    """One payment and its parts."""

    total_fen = YuanField(_("款项总额（元）"), [InputRequired(_("请填写总额。")), positive])
    same_as_above = True


class CountForm(GroupForm):
    """A day's counted money: first what was counted, then gift by gift."""

    stated_count = IntegerField(
        _("清点笔数"),
        [
            InputRequired(_("请填写清点的笔数。")),
            NumberRange(1, 99_999, _("请填写大于 0 的整数。")),
        ],
    )
    stated_fen = YuanField(_("清点金额（元）"), [InputRequired(_("请填写清点金额。")), positive])
    accepted = StringField(default="")
    """The difference that the person has seen and confirmed."""
    first_rows = 10

    @property
    def stated(self) -> Tally:
        return Tally(self.stated_count.data or 0, self.stated_fen.data or 0)

    @property
    def difference(self) -> Tally:
        """What was counted and not entered."""
        return self.stated - self.entered

    @property
    def is_accepted(self) -> bool:
        return self.accepted.data == str(self.difference)
