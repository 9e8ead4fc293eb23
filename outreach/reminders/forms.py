from datetime import date, datetime
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import (
    BooleanField,
    IntegerField,
    RadioField,
    SelectChoice,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.validators import (
    DataRequired,
    InputRequired,
    Length,
    NumberRange,
    Optional,
    ValidationError,
)
from wtforms.widgets import CheckboxInput, ListWidget

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.models import Sector
from outreach.forms import DayField, Form, YuanField, list_choices
from outreach.messages.models import TemplateVersion, Wave, WaveStatus
from outreach.reminders.audience import ASKED, AudienceFilter, SectorChoice
from outreach.reminders.services import LONGEST_NAME, WavePlan, default_end

NOW, LATER = "now", "later"


class CheckboxesField(SelectMultipleField):
    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


def _number(value: Any) -> int | None:
    return int(value) if value else None


class TextsForm(Form):
    """What a wave says: a text, and one for the other channel."""

    template_version_id = SelectField(
        _("模板"), [InputRequired(_("请选择模板。"))], coerce=int, validate_choice=True
    )
    fallback_version_id = SelectField(_("另一渠道的文字"), coerce=_number, default=None)

    def offer_texts(self, versions: list[TemplateVersion]) -> None:
        self.channels = {version.id: version.template.channel for version in versions}
        choices = [SelectChoice(version.id, _label(version)) for version in versions]
        self.template_version_id.choices = choices
        self.fallback_version_id.choices = [SelectChoice("", _("不用")), *choices]

    def validate_fallback_version_id(self, field: SelectField) -> None:
        channel = self.channels.get(field.data) if field.data else None
        if channel and channel is self.channels.get(self.template_version_id.data):
            raise ValidationError(_("两份文字是同一渠道的。请选另一渠道的模板，或选“不用”。"))


class ScheduleForm(Form):
    """What a wave is called, and when it goes out."""

    name = StringField(
        _("名称"),
        [DataRequired(_("请填写名称。")), Length(max=LONGEST_NAME, message=_("不超过 120 字。"))],
    )
    start = RadioField(
        _("发送时间"),
        choices=[SelectChoice(NOW, _("批准后立即发送")), SelectChoice(LATER, _("指定时间"))],
        default=NOW,
    )
    starts_on = DayField(_("日期"))
    starts_time = TimeField(_("时间"), [Optional()])
    last_on = DayField(_("最迟发送日"))

    def validate_start(self, field: RadioField) -> None:
        if field.data == LATER and not (self.starts_on.data and self.starts_time.data):
            raise ValidationError(_("请填写发送的日期和时间。"))

    def period(self) -> tuple[datetime, datetime]:
        """When the wave starts, and after when nothing of it is sent any more."""
        starts_at = clock.now()
        if self.start.data == LATER:
            starts_at = clock.at(self.starts_on.data, self.starts_time.data)
        last_on = self.last_on.data
        return starts_at, clock.end_of(last_on) if last_on else default_end(starts_at)


class AudienceForm(TextsForm):
    """Who is meant, and by which channel: what the live count reads."""

    sectors = RadioField(
        _("板块"), choices=list_choices(SectorChoice), default=SectorChoice.ALL.value
    )
    sector_ids = CheckboxesField(_("指定板块"), coerce=int)
    statuses = CheckboxesField(_("进展"), choices=list_choices(ASKED))
    solicitor_id = SelectField(_("劝募人"), coerce=_number, default=None)
    min_previous = YuanField(_("上年度捐款不少于（元）"), [Optional()])
    min_days_silent = IntegerField(
        _("多少天没有联系"), [Optional(), NumberRange(0, 366, _("请填写 0 到 366 之间的天数。"))]
    )
    gave_last_year = BooleanField(_("只发给上年度捐过、今年还没有捐的单位"))

    def offer(
        self, versions: list[TemplateVersion], sectors: list[Sector], solicitors: list[User]
    ) -> None:
        self.offer_texts(versions)
        self.sector_ids.choices = [SelectChoice(sector.id, sector.name) for sector in sectors]
        self.solicitor_id.choices = [
            SelectChoice("", _("不限")),
            *(SelectChoice(user.id, user.name) for user in solicitors),
        ]

    def validate_sector_ids(self, field: CheckboxesField) -> None:
        if self.sectors.data == SectorChoice.CHOSEN and not field.data:
            raise ValidationError(_("请至少选择一个板块。"))

    def audience(self, start: AudienceFilter | None = None) -> AudienceFilter:
        """What was chosen here, with what `start` says beyond that: the form does not offer to
        choose units one by one."""
        is_chosen = self.sectors.data == SectorChoice.CHOSEN
        return AudienceFilter.model_validate(
            (start or AudienceFilter()).model_dump()
            | {
                "sectors": self.sectors.data,
                "sector_ids": self.sector_ids.data if is_chosen else (),
                "statuses": self.statuses.data,
                "solicitor_id": self.solicitor_id.data,
                "min_previous_fen": self.min_previous.data or 0,
                "min_days_silent": self.min_days_silent.data or 0,
                "gave_last_year": self.gave_last_year.data,
            }
        )


class WaveForm(AudienceForm, ScheduleForm):
    def plan(
        self,
        version: TemplateVersion,
        fallback: TemplateVersion | None,
        start: AudienceFilter | None = None,
    ) -> WavePlan:
        starts_at, not_after = self.period()
        return WavePlan(
            name=self.name.data,
            version=version,
            audience=self.audience(start),
            starts_at=starts_at,
            not_after=not_after,
            fallback=fallback,
        )


class CorrectionForm(TextsForm, ScheduleForm):
    """A correction: whom it goes to is not for anybody to choose."""

    template_version_id = SelectField(
        _("更正的文字"), [InputRequired(_("请选择更正的文字。"))], coerce=_number
    )

    def offer_texts(self, versions: list[TemplateVersion]) -> None:
        super().offer_texts(versions)
        # Nothing is chosen beforehand: the first in the list may be what went wrong.
        self.template_version_id.choices = [
            SelectChoice("", _("请选择")),
            *self.template_version_id.choices,
        ]

    def plan(self, version: TemplateVersion, fallback: TemplateVersion | None) -> WavePlan:
        starts_at, not_after = self.period()
        return WavePlan(
            name=self.name.data,
            version=version,
            audience=AudienceFilter(),
            starts_at=starts_at,
            not_after=not_after,
            fallback=fallback,
        )


class TestForm(Form):
    """Whose letter a person wants to read; empty: the longest one."""

    solicitation_id = IntegerField(_("单位"), [Optional()])


class ReturnForm(Form):
    reason = TextAreaField(
        _("退回原因"),
        [DataRequired(_("请写明原因，起草人才知道改哪里。")), Length(max=200)],
    )


def _label(version: TemplateVersion) -> str:
    template = version.template
    return f"{template.name} · {template.channel.label} · " + str(
        _("第 %(number)s 版", number=version.number)
    )


def suggest_name(day: date) -> str:
    return str(_("%(month)s月%(day)s日提醒", month=day.month, day=day.day))


def suggest_correction_name(wrong: Wave) -> str:
    return str(_("更正：%(name)s", name=wrong.name))[:LONGEST_NAME]


def wave_values(wave: Wave) -> dict[str, Any]:
    """A wave as the form shows it for editing."""
    return schedule_values(wave) | audience_values(AudienceFilter.model_validate(wave.audience))


def schedule_values(wave: Wave) -> dict[str, Any]:
    """Its texts and its time, as the forms show them."""
    starts_at = clock.local(wave.starts_at)
    is_later = wave.starts_at > clock.now() or wave.status is WaveStatus.HELD
    return {
        "name": wave.name,
        "template_version_id": wave.template_version_id,
        "fallback_version_id": wave.fallback_version_id,
        "start": LATER if is_later else NOW,
        "starts_on": starts_at.date() if is_later else None,
        "starts_time": starts_at.time() if is_later else None,
        "last_on": clock.day_of(wave.not_after),
    }


def audience_values(audience: AudienceFilter) -> dict[str, Any]:
    return {
        "sectors": audience.sectors.value,
        "sector_ids": list(audience.sector_ids),
        "statuses": [status.value for status in audience.statuses],
        "solicitor_id": audience.solicitor_id,
        "min_previous": audience.min_previous_fen or None,
        "min_days_silent": audience.min_days_silent or None,
        "gave_last_year": audience.gave_last_year,
    }
