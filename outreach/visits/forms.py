from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from flask_babel import lazy_gettext as _
from werkzeug.datastructures import FileStorage
from wtforms import (
    BooleanField,
    Field,
    HiddenField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.validators import InputRequired, Length, Optional
from wtforms.widgets import FileInput

from outreach.accounts.models import User
from outreach.campaigns.models import DeclineReason
from outreach.errors import NotFound, Refused
from outreach.forms import DayField, Form, TermField, YuanField, positive
from outreach.spreadsheets import uploads
from outreach.spreadsheets.reading import SourceFile
from outreach.visits import photos
from outreach.visits.models import Visit, VisitOutcome
from outreach.visits.photos import Picture
from outreach.web import format_day


class PhotosField(Field):
    """Files of pictures; or the SHA-256 of one that came with an answer that was refused, for a
    browser does not choose a file a second time by itself. `data` holds those that are good, also
    when others are not."""

    widget = FileInput(multiple=True)
    data: list[Picture]

    def process_data(self, value: Any) -> None:
        self.data = []

    def process_formdata(self, valuelist: list[FileStorage | str]) -> None:
        self.data, problems = [], []
        chosen = [value for value in valuelist if isinstance(value, str) or value.filename]
        for value in chosen[: photos.MOST]:
            try:
                self.data.append(_take(value))
            except (NotFound, Refused) as refusal:
                problems.append(str(refusal.message))
        if len(chosen) > photos.MOST:
            problems.append(str(_("一次走访最多 3 张照片，多出的没有保留。")))
        if problems:
            raise ValueError(" ".join(problems))

    def keep(self) -> list[Picture]:
        """Puts the pictures by until the form is sent again."""
        for picture in self.data:
            uploads.keep(SourceFile(picture.name, picture.content))
        return self.data

    def forget(self) -> None:
        """They have arrived, so what was put by is not needed."""
        for value in self.raw_data or ():
            if isinstance(value, str):
                with suppress(NotFound):
                    uploads.remove(value)


def _take(value: FileStorage | str) -> Picture:
    if isinstance(value, str):
        file = uploads.take(value)
        return photos.read_picture(file.name, file.content)
    return photos.read_picture(value.filename or "", value.stream.read(photos.MOST_BYTES + 1))


class LogVisitForm(Form):
    outcome = TermField(_("走访结果"), VisitOutcome)
    pledge_fen = YuanField(_("认捐金额（元）"), [Optional(), positive])
    pledge_due_on = DayField(_("约定到账日期"))
    next_on = DayField(_("下次联系日期"))
    decline_reason = TermField(_("婉拒原因"), DeclineReason, blank=_("请选择"))
    note = TextAreaField(_("备注"), [Length(max=1000)])
    photos = PhotosField(_("照片"))
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
            "pictures": self.photos.data,
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
    parent_id = SelectField(
        _("一起走访"),
        coerce=int,
        default=0,
        invalid_choice_message=_("要同行的那次走访已登记或取消。请重新选择。"),
    )

    def offer(self, visitors: Sequence[User]) -> dict[int, User]:
        """Lets one of these be chosen; returns them by id."""
        self.visitor_id.choices = [(user.id, user.name) for user in visitors]
        return {user.id: user for user in visitors}

    def offer_company(self, visits: Sequence[Visit]) -> dict[int, Visit]:
        """Lets one of these be the visit with which it is made, the visitor's own first; returns
        them by id."""
        self.parent_id.choices = [SelectChoice("0", _("不与其他走访同行"))] + [
            SelectChoice(
                str(visit.id),
                f"{format_day(visit.planned_on)} {visit.solicitation.unit.name}",
                optgroup=visit.visitor.name,
            )
            for visit in sorted(visits, key=lambda v: v.visitor_id != self.visitor_id.data)
            if visit.visitor
        ]
        return {visit.id: visit for visit in visits}


class PlanVisitForm(PlaceForm):
    reason = StringField(_("事由"), [Length(max=200)])


class DropVisitForm(Form):
    reason = StringField(_("取消原因"), [InputRequired(_("请填写取消原因。")), Length(max=1000)])
    drops_companions = BooleanField(_("一并取消同行的走访"))
