"""Shapes of input, shared by the capabilities' forms; rules of the domain are not here."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from flask import request
from flask_babel import lazy_gettext as _
from flask_wtf import FlaskForm
from wtforms import DateField, Field, PasswordField, SelectChoice, SelectField, StringField
from wtforms.validators import Optional, ValidationError

from outreach import money
from outreach.errors import Conflict
from outreach.spreadsheets.cells import MOST_FEN
from outreach.terms import Term

YEARS = range(1900, 2200)


class Form(FlaskForm):
    """Base of all forms: messages in the reader's language, blanks stripped."""

    class Meta(FlaskForm.Meta):
        def bind_field(self, form: Any, unbound_field: Any, options: dict[str, Any]) -> Field:
            filters = list(unbound_field.kwargs.get("filters", []))
            kind = unbound_field.field_class
            if issubclass(kind, StringField) and not issubclass(kind, PasswordField):
                filters.insert(0, _strip)
            return unbound_field.bind(form=form, filters=filters, **options)


class YuanField(StringField):
    """An amount typed in yuan; `data` is fen."""

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        if not text:
            self.data = None
            return
        try:
            self.data = money.parse_yuan(text)
        except (ValueError, ArithmeticError):
            self.data = None
            raise ValueError(
                _("“%(text)s”不是金额。请填写数字，单位为元，最多两位小数。", text=text)
            ) from None

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else str(Decimal(self.data) / money.FEN_PER_YUAN)


class DayField(DateField):
    """A day; an empty field is None."""

    data: Any

    def __init__(self, label: Any = None, validators: Any = None, **options: Any) -> None:
        super().__init__(label, validators if validators is not None else [Optional()], **options)

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata(valuelist)
        if self.data and self.data.year not in YEARS:  # «0026» is a year half typed
            self.data = None
            raise ValueError(_("年份不对。请填写四位数的年份，例如 2026-10-12。"))


class TermField(SelectField):
    """One value of a closed vocabulary, or of a part of it; `data` is the member, or None for the
    blank choice."""

    def __init__(
        self,
        label: Any,
        terms: Iterable[Term],
        blank: Any = None,
        validators: Any = None,
        **options: Any,
    ) -> None:
        members = list(terms)
        blanks = [] if blank is None else [SelectChoice("", blank)]

        def coerce(value: Any) -> Term | None:
            return _member(members, value) if value else None

        super().__init__(
            label,
            validators,
            coerce=coerce,
            choices=[*blanks, *list_choices(members)],
            **options,
        )


def list_choices(terms: Iterable[Term]) -> list[SelectChoice]:
    """The terms as a field offers them."""
    return [SelectChoice(term.value, term.label) for term in terms]


def check_version(current: int) -> None:
    """Conflict when the page that was sent was read before somebody else's change."""
    sent = request.form.get("version", type=int)
    if sent is not None and sent != current:
        raise Conflict(_("这条记录刚被他人修改，您的改动没有保存。请核对最新内容后再提交。"))


def one_line(_form: FlaskForm, field: Field) -> None:
    """Validator: what goes into the head of an e-mail, where a line break would start another
    header."""
    if field.data and _NOT_ONE_LINE.search(field.data):
        raise ValidationError(_("不能含换行或特殊控制字符，请重新输入。"))


_NOT_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|=\?")


def positive(_form: FlaskForm, field: Field) -> None:
    """Validator: an amount greater than nothing, and not beyond all measure."""
    if field.data is not None and field.data <= 0:
        raise ValidationError(_("金额必须大于 0。"))
    if field.data is not None and field.data > MOST_FEN:
        raise ValidationError(_("金额超过 100 亿元，请核对（单位：元）。"))


def _member(members: list[Term], value: str) -> Term:
    for member in members:
        if member.value == value:
            return member
    raise ValueError(value)


def _strip(value: Any) -> Any:
    # PostgreSQL has no NUL in texts.
    return value.replace("\x00", "").strip() if isinstance(value, str) else value
