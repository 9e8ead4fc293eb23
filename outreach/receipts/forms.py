"""Input about receipts: for whom, under which numbers, and why one is taken back."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import SelectMultipleField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional, Regexp, ValidationError

from outreach import clock, money
from outreach.errors import Refused
from outreach.forms import DayField, Form, YuanField, positive
from outreach.receipts.models import DonationReceipt
from outreach.receipts.services import ReceiptRequest
from outreach.units.services import normalise_credit_code

SEPARATORS = r"[\s,，;；:：]+"
PERSON = re.compile(
    rf"(?P<name>\S.*?){SEPARATORS}(?P<amount>\d[\d,，]*(?:\.\d+)?)\s*元?(?:{SEPARATORS}(?P<remark>.*))?"
)
NUMBERING = re.compile(r"\d{1,4}[\s、.\uff0e)\uff09]+(?=\D)")
TOTALS = {"合计", "小计", "总计", "共计", "总额"}
SECOND_AMOUNT = re.compile(
    rf"\d\s*元|^(?!\S*[号话码])[\u4e00-\u9fff·]{{2,4}}{SEPARATORS}\d[\d,.]*$"
)
"""In a remark: «李四 300» is somebody else's, «工号 1234» is not."""
LONGEST_PAYER, LONGEST_REMARK = 120, 200
MOST_PEOPLE = 500
is_number = Regexp(r"^[0-9]+$", message=_("请填写数字。"))


class RequestForm(Form):
    """One receipt, for a unit or a person."""

    payer = StringField(
        _("交款人"),
        [
            InputRequired(_("请填写交款人。")),
            Length(max=LONGEST_PAYER, message=_("不能超过 120 字。")),
        ],
    )
    payer_code = StringField(_("统一社会信用代码"), [Length(max=40)], default="")
    amount_fen = YuanField(_("金额（元）"), [InputRequired(_("请填写金额。")), positive])
    remark = StringField(
        _("备注"), [Length(max=LONGEST_REMARK, message=_("不能超过 200 字。"))], default=""
    )

    def validate_payer_code(self, field: StringField) -> None:
        try:
            normalise_credit_code(field.data or "")
        except Refused as refusal:
            raise ValidationError(refusal.message) from None

    @property
    def requests(self) -> list[ReceiptRequest]:
        code = normalise_credit_code(self.payer_code.data or "") or ""
        amount_fen = self.amount_fen.data or 0
        return [ReceiptRequest(self.payer.data, amount_fen, code, self.remark.data or "")]


class PeopleForm(Form):
    """A receipt for each person of a list that was pasted: a name and an amount in each line."""

    requests: Sequence[ReceiptRequest] = ()
    people = TextAreaField(_("名单"), [InputRequired(_("请粘贴名单。")), Length(max=50_000)])

    def validate_people(self, field: TextAreaField) -> None:
        self.requests = list(_read_people(field.data))
        if len(self.requests) > MOST_PEOPLE:
            raise ValidationError(_("一次最多 %(most)s 人，请分成几次。", most=MOST_PEOPLE))


class IssueForm(Form):
    """Consecutive numbers for the chosen requests."""

    receipts = SelectMultipleField(_("待开具的票据"), coerce=int)
    code = StringField(
        _("票据代码"), [InputRequired(_("请填写票据代码。")), Length(max=20), is_number]
    )
    first_number = StringField(
        _("起始号码"), [InputRequired(_("请填写票据号码。")), Length(max=20), is_number]
    )
    issued_on = DayField(_("开具日期"), [InputRequired(_("请填写开具日期。"))])

    def __init__(self, requested: Sequence[DonationReceipt], **defaults: Any) -> None:
        super().__init__(data={"issued_on": clock.today()} | defaults)
        self.requested = {receipt.id: receipt for receipt in requested}
        self.receipts.choices = [(id_, receipt.payer) for id_, receipt in self.requested.items()]
        self.receipts.validate_choice = False  # one that is gone is told of below

    @property
    def chosen(self) -> list[DonationReceipt]:
        return [row for id_, row in self.requested.items() if id_ in self.receipts.data]

    def validate_receipts(self, field: SelectMultipleField) -> None:
        if not field.data:
            raise ValidationError(_("请勾选要开具的票据。"))
        if set(field.data) - set(self.requested):
            raise ValidationError(_("所选票据中有的刚被他人开具或撤回。请重新勾选。"))

    def validate_issued_on(self, field: DayField) -> None:
        if field.data and field.data > clock.today():
            raise ValidationError(_("开具日期不能晚于今天。"))


class CheckCodeForm(Form):
    check_code = StringField(
        _("校验码"), [InputRequired(_("请填写校验码。")), Length(max=20)], default=""
    )


class EndForm(Form):
    """Why a receipt is reversed, or a request withdrawn."""

    reason = StringField(
        _("原因"),
        [
            InputRequired(_("请填写原因。")),
            Length(max=200, message=_("不能超过 200 字。")),
        ],
    )
    reversal_number = StringField(
        _("红字票据号码"), [Optional(), Length(max=20), is_number], default=""
    )


def _read_people(text: str) -> Iterator[ReceiptRequest]:
    """A request for each line that is not empty; ValidationError names the first that is none."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        entry = line.strip()
        if numbering := NUMBERING.match(entry):
            entry = entry[numbering.end() :]
        found = PERSON.fullmatch(entry)
        if found is None:
            raise ValidationError(
                _(
                    "第 %(number)s 行“%(line)s”看不出姓名和金额。"
                    "每行写“姓名 金额”，例如：张三 200。",
                    number=number,
                    line=line.strip()[:40],
                )
            )
        try:
            amount = money.parse_yuan(found["amount"])
        except ValueError:
            raise ValidationError(
                _(
                    "第 %(number)s 行的金额“%(amount)s”最多两位小数，单位为元。",
                    number=number,
                    amount=found["amount"],
                )
            ) from None
        name, remark = found["name"], (found["remark"] or "").strip()
        if name in TOTALS:
            raise ValidationError(
                _("第 %(number)s 行“%(name)s”不是人名。请删去合计行。", number=number, name=name)
            )
        if SECOND_AMOUNT.search(remark):
            raise ValidationError(
                _("第 %(number)s 行有两个金额。请每人写一行，备注里不写金额。", number=number)
            )
        if amount <= 0 or len(name) > LONGEST_PAYER or len(remark) > LONGEST_REMARK:
            raise ValidationError(
                _("第 %(number)s 行的金额为 0，或姓名、备注太长。", number=number)
            )
        yield ReceiptRequest(name, amount, remark=remark)
