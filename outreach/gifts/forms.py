"""Input of money received, reversals and promises."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import wtforms
from flask_babel import lazy_gettext as _
from wtforms import (
    BooleanField,
    FieldList,
    FormField,
    HiddenField,
    IntegerField,
    SelectField,
    StringField,
)
from wtforms.validators import (
    InputRequired,
    Length,
    NumberRange,
    Optional,
    StopValidation,
    ValidationError,
)

from outreach import clock, money
from outreach.accounts.models import User
from outreach.accounts.queries import list_office
from outreach.campaigns.models import Campaign, ChangeReason, Solicitation
from outreach.campaigns.queries import list_sectors
from outreach.errors import Refused
from outreach.forms import DayField, Form, TermField, YuanField, positive
from outreach.gifts.models import GiftBasis, GiftChannel, GiftKind, Subject
from outreach.gifts.services import check_instalments
from outreach.gifts.standings import Standing, find_by_name

MOST_INSTALMENTS = 4


class GiftForm(Form):
    key = HiddenField(validators=[Length(max=40)])
    """Made with the page: the same page sent twice is one gift."""
    unit = StringField(_("单位"), [Length(max=120)], default="")
    sector_id = SelectField(_("没有单位时计入板块"), coerce=lambda value: int(value or 0))
    amount_fen = YuanField(_("金额（元）"), [InputRequired(_("请填写金额。")), positive])
    received_on = DayField(_("到账日期"), [InputRequired(_("请填写到账日期。"))])
    kind = TermField(_("类型"), GiftKind)
    donor_count = IntegerField(
        _("捐款人数"), [Optional(), NumberRange(0, message=_("请填写人数，不清楚可留空。"))]
    )
    channel = TermField(_("方式"), GiftChannel)
    basis = TermField(_("入账情况"), GiftBasis)
    reference = StringField(
        _("流水号或凭证号"), [Length(max=80, message=_("不能超过 80 字。"))], default=""
    )
    designation = StringField(
        _("指定用途"), [Length(max=120, message=_("不能超过 120 字。"))], default=""
    )
    note = StringField(_("备注"), [Length(max=200, message=_("不能超过 200 字。"))], default="")
    may_publish = BooleanField(_("捐赠方同意公开姓名或单位名称"))

    def __init__(self, campaign: Campaign, viewer: User, **defaults: Any) -> None:
        super().__init__(data={"key": uuid4().hex} | defaults)
        self.campaign = campaign
        self.sectors = {sector.id: sector for sector in list_sectors(campaign, viewer)}
        self.solicitation: Solicitation | None = None
        self.sector_id.choices = [
            (0, _("未分配")),
            *((id_, row.name) for id_, row in self.sectors.items()),
        ]

    @property
    def line_key(self) -> str:
        return f"form:{self.key.data}"

    def facts(self) -> dict[str, Any]:
        """What `services.record_gift` takes."""
        names = (
            "amount_fen",
            "received_on",
            "kind",
            "channel",
            "basis",
            "reference",
            "designation",
            "note",
            "may_publish",
        )
        return {name: self[name].data for name in names} | {
            "unit": self.solicitation.unit if self.solicitation else None,
            "sector": self.sectors.get(self.sector_id.data),
            "donor_count": self.donor_count.data or 0,
            "line_key": self.line_key,
        }

    def validate_unit(self, field: StringField) -> None:
        if not field.data:
            return
        self.solicitation = find_unit(self.campaign, field.data)

    def validate_sector_id(self, field: SelectField) -> None:
        if self.solicitation and field.data not in (0, self.solicitation.sector_id):
            raise ValidationError(
                _("该单位属于“%(name)s”，不需要另选板块。", name=self.solicitation.sector.name)
            )

    def validate_received_on(self, field: DayField) -> None:
        if field.data and field.data > clock.today():
            raise ValidationError(_("到账日期不能晚于今天。"))


class LineForm(Form):
    """A payment whose giver is not known."""

    key = HiddenField(validators=[Length(max=40)])
    payer = StringField(
        _("付款人（按银行流水）"),
        [InputRequired(_("请填写付款人。")), Length(max=120, message=_("不能超过 120 字。"))],
    )
    amount_fen = YuanField(_("金额（元）"), [InputRequired(_("请填写金额。")), positive])
    received_on = DayField(_("到账日期"), [InputRequired(_("请填写到账日期。"))])
    reference = StringField(
        _("流水号"), [Length(max=80, message=_("不能超过 80 字。"))], default=""
    )
    note = StringField(_("附言"), [Length(max=200, message=_("不能超过 200 字。"))], default="")

    def __init__(self, **defaults: Any) -> None:
        super().__init__(data={"key": uuid4().hex} | defaults)

    def facts(self) -> dict[str, Any]:
        """What `lines.open_line` takes."""
        names = ("payer", "amount_fen", "received_on", "reference", "note")
        return {name: self[name].data for name in names} | {"line_key": f"line:{self.key.data}"}

    def validate_received_on(self, field: DayField) -> None:
        if field.data and field.data > clock.today():
            raise ValidationError(_("到账日期不能晚于今天。"))


class SettleForm(Form):
    """Whose payment it is, or why it is nobody's."""

    unit = StringField(_("属于哪个单位"), [Length(max=120)], default="")
    kind = TermField(_("类型"), GiftKind)
    learns = BooleanField(_("记住这个付款人，以后他的付款都先想到这个单位"))
    reason = StringField(
        _("与本活动无关的原因"), [Length(max=200, message=_("不能超过 200 字。"))], default=""
    )

    def __init__(self, campaign: Campaign, **defaults: Any) -> None:
        super().__init__(data=defaults)
        self.campaign = campaign
        self.solicitation: Solicitation | None = None

    def validate_unit(self, field: StringField) -> None:
        if field.data:
            self.solicitation = find_unit(self.campaign, field.data)
        elif not self.reason.data:
            raise ValidationError(_("请选择单位；与本活动无关的，请写明原因。"))

    def validate_reason(self, field: StringField) -> None:
        if field.data and self.unit.data:
            raise ValidationError(_("选了单位又写了原因，请只留一项。"))


class ReopenForm(Form):
    reason = StringField(
        _("撤销原因"),
        [InputRequired(_("请填写撤销原因。")), Length(max=200, message=_("不能超过 200 字。"))],
    )


class ReversalForm(Form):
    reason = StringField(
        _("冲正原因"),
        [InputRequired(_("请填写冲正原因。")), Length(max=200, message=_("不能超过 200 字。"))],
    )


class ChangeReasonForm(Form):
    reason = TermField(_("原因"), ChangeReason, blank=_("未注明"))


class ResidualForm(Form):
    """Who looks after what the ledger cannot explain."""

    owner_id = SelectField(_("责任人"), coerce=int)
    note = StringField(
        _("说明"),
        [
            InputRequired(_("请写明是什么、怎么处理。")),
            Length(max=200, message=_("不能超过 200 字。")),
        ],
    )

    def __init__(self, **defaults: Any) -> None:
        super().__init__(data=defaults)
        self.people = {user.id: user for user in list_office()}
        self.owner_id.choices = [(id_, user.name) for id_, user in self.people.items()]

    @property
    def owner(self) -> User:
        return self.people[self.owner_id.data]


class StatedForm(Form):
    """A figure as it was published."""

    subject = TermField(_("数字"), Subject)
    sector_id = SelectField(_("板块"), coerce=lambda value: int(value or 0))
    value = StringField(_("公布的数（金额以万元为单位）"), [InputRequired(_("请填写公布的数字。"))])
    source = StringField(
        _("出处"),
        [InputRequired(_("请填写出处。")), Length(max=120, message=_("不能超过 120 字。"))],
    )

    def __init__(self, campaign: Campaign) -> None:
        super().__init__()
        self.sectors = {sector.id: sector for sector in campaign.sectors}
        self.sector_id.choices = [
            (0, _("不适用")),
            *((id_, sector.name) for id_, sector in self.sectors.items()),
        ]

    def facts(self) -> dict[str, Any]:
        """What `reconciliation.state_figure` takes."""
        return {
            "subject": self.subject.data,
            "value": self._read(self.value.data),
            "source": self.source.data,
            "sector": self.sectors.get(self.sector_id.data),
        }

    def validate_value(self, field: StringField) -> None:
        try:
            if self.subject.data:
                self._read(field.data)
        except (ValueError, ArithmeticError):
            raise ValidationError(
                _("“%(text)s”不是数字。金额请以万元填写，如 1810.7035。", text=field.data)
            ) from None

    def validate_sector_id(self, field: SelectField) -> None:
        if (self.subject.data is Subject.SECTOR) != bool(field.data):
            raise ValidationError(_("公布的是板块金额时请选择板块，其他数字请选“不适用”。"))

    def _read(self, text: str) -> int:
        if self.subject.data.is_money:
            return money.from_wan_yuan(Decimal(text.replace(",", "")))
        return int(text)


class InstalmentForm(wtforms.Form):
    due_on = DayField(_("日期"))
    amount_fen = YuanField(_("金额（元）"), [Optional(), positive])


def required_without_parts(form: "PledgeForm", field: DayField) -> None:
    if not (field.raw_data or [""])[0] and not form.instalments:
        field.errors = []
        raise StopValidation(_("请填写约定到账日期。"))


class PledgeForm(Form):
    amount_fen = YuanField(_("认捐金额（元）"), [InputRequired(_("请填写认捐金额。")), positive])
    due_on = DayField(_("约定到账日期"), [required_without_parts, Optional()])
    parts = FieldList(FormField(InstalmentForm), min_entries=MOST_INSTALMENTS)
    note = StringField(_("说明"), [Length(max=200, message=_("说明不能超过 200 字。"))], default="")

    @property
    def instalments(self) -> dict[date, int]:
        """Fen by day; empty when it is paid at once."""
        return {part.due_on.data: part.amount_fen.data or 0 for part in self._filled()}

    def facts(self) -> dict[str, Any]:
        """What `services.record_pledge` takes."""
        return {
            "amount_fen": self.amount_fen.data,
            "due_on": max(self.instalments, default=self.due_on.data),
            "instalments": self.instalments or None,
            "note": self.note.data,
        }

    def validate_due_on(self, field: DayField) -> None:
        if field.data and field.data < clock.today():
            raise ValidationError(_("约定到账日期不能早于今天。"))

    def validate_parts(self, _field: FieldList) -> None:
        parts = self._filled()
        if any(part.due_on.data is None or part.amount_fen.data is None for part in parts):
            raise ValidationError(_("每一期都要有日期和金额。"))
        if len({part.due_on.data for part in parts}) < len(parts):
            raise ValidationError(_("有两期是同一天。请合并，或改其中一个日期。"))
        if any(part.due_on.data < clock.today() for part in parts):
            raise ValidationError(_("约定到账日期不能早于今天。"))
        if parts and self.amount_fen.data is not None:
            try:
                check_instalments(self.amount_fen.data, list(self.instalments.values()))
            except Refused as refusal:
                raise ValidationError(refusal.message) from None

    def _filled(self) -> list[InstalmentForm]:
        forms: list[InstalmentForm] = [entry.form for entry in self.parts]
        return [form for form in forms if any((field.raw_data or [""])[0] for field in form)]


def pledge_form(standing: Standing) -> PledgeForm:
    """A form for `gifts/_pledge.html`, due at the end of the campaign unless it says otherwise."""
    due_on: date = standing.pledge_due_on or standing.solicitation.campaign.ends_on
    return PledgeForm(formdata=None, data={"due_on": max(due_on, clock.today())})


def find_unit(campaign: Campaign, name: str) -> Solicitation:
    """The one unit of that name; ValidationError when there is none or there are several."""
    found = find_by_name(campaign, name)
    if not found:
        raise ValidationError(_("本次活动的名册中没有“%(name)s”。请从提示中选择。", name=name))
    if len(found) > 1:
        raise ValidationError(
            _(
                "有 %(count)s 个单位与“%(name)s”相符。请从提示中选择。",
                count=len(found),
                name=name,
            )
        )
    return found[0]
