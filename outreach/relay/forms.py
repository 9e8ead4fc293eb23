"""What a unit says about itself. The page never shows a number or an address in full: an empty
field keeps what is known."""

from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import (
    HiddenField,
    IntegerField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Length, NumberRange, Optional, ValidationError

from outreach.campaigns.models import Campaign, Solicitation
from outreach.forms import Form, TermField, one_line
from outreach.messages.addresses import normalise_address
from outreach.messages.models import TO_ONE_PERSON, Channel
from outreach.relay.models import RelayAnswer
from outreach.relay.queries import find_current
from outreach.relay.services import Named, Person, Reply, mark_people
from outreach.units.models import Contact, ContactRole
from outreach.units.queries import find_head_count

KEEP, NEW, NOBODY = "keep", "new", "nobody"
SHORT = (Length(max=60, message=_("最多 60 个字。")), one_line)
MOST_PEOPLE = 1_000_000


def _number(value: Any) -> int | None:
    return int(value) if value else None


class RelayForm(Form):
    coordinator = RadioField(_("联络员"), default=KEEP)
    coordinator_name = StringField(_("姓名"), SHORT)
    coordinator_title = StringField(_("职务"), SHORT)
    coordinator_mobile = StringField(_("手机号码"))
    coordinator_email = StringField(_("电子邮箱"))
    preferred_channel = TermField(_("首选渠道"), TO_ONE_PERSON, blank=_("不限"), default=None)
    leader = RadioField(_("分管领导"), default=KEEP)
    leader_name = StringField(_("姓名"), SHORT)
    leader_title = StringField(_("职务"), SHORT)
    leader_mobile = StringField(_("手机号码"))
    head_count = IntegerField(
        _("单位现有人数"),
        [Optional(), NumberRange(0, MOST_PEOPLE, _("请填写 0 到 100 万之间的人数。"))],
    )
    payroll_month = SelectField(_("工资代扣月份"), coerce=_number, default=None)
    note = TextAreaField(_("其他要说明的"), [Length(max=500, message=_("最多 500 个字。"))])
    seen = HiddenField()

    def __init__(
        self,
        solicitation: Solicitation,
        answer: RelayAnswer | None,
        coordinator: Contact | None = None,
    ) -> None:
        """`coordinator` is who has been asked by letter; without one whoever it is."""
        self._unit, self._asked = solicitation.unit, coordinator
        coordinator, leader = self.people
        count = find_head_count(self._unit.id, solicitation.campaign_id)
        super().__init__(
            data={
                "coordinator": KEEP if coordinator else NEW,
                "leader": KEEP if leader else NOBODY,
                "preferred_channel": coordinator.preferred_channel if coordinator else None,
                "head_count": count.count if count else None,
                "payroll_month": answer.payroll_month if answer else None,
                "note": answer.note if answer else "",
                "seen": mark_people(self._unit),
            }
        )
        self.payroll_month.choices = [
            SelectChoice("", _("不代扣，或还没有定")),
            *(
                SelectChoice(month, _("%(month)s 月", month=month))
                for month in _months(solicitation.campaign)
            ),
        ]
        self._offer()

    @property
    def people(self) -> tuple[Contact | None, Contact | None]:
        """Coordinator and leader as they are registered now."""
        coordinator = self._asked or find_current(self._unit, ContactRole.COORDINATOR)
        return coordinator, find_current(self._unit, ContactRole.LEADER)

    def show_current(self) -> None:
        """What is sent next is about the people as they are now."""
        self.seen.data = mark_people(self._unit)
        self._offer()

    def _offer(self) -> None:
        coordinator, leader = self.people
        self.coordinator.choices = _choices(coordinator)
        nobody = _("目前没有") if leader else _("没有，或不便提供")
        self.leader.choices = [*_choices(leader), SelectChoice(NOBODY, nobody)]

    def validate_coordinator_name(self, field: Any) -> None:
        _check_name(self.coordinator.data, field.data)

    def validate_leader_name(self, field: Any) -> None:
        _check_name(self.leader.data, field.data)

    def validate_coordinator_mobile(self, field: Any) -> None:
        _check_mobile(field.data)
        if self.coordinator.data == NEW and not field.data and not self.coordinator_email.data:
            raise ValidationError(_("请填写手机号码或电子邮箱，至少一样，否则联系不上。"))

    def validate_leader_mobile(self, field: Any) -> None:
        _check_mobile(field.data)

    def validate_coordinator_email(self, field: Any) -> None:
        if field.data and not normalise_address(Channel.EMAIL, field.data):
            raise ValidationError(_("邮箱格式不正确，例如 name@example.com。"))

    def reply(self) -> Reply:
        return Reply(
            coordinator=self._named("coordinator"),
            leader=self._named("leader"),
            seen=self.seen.data or "",
            head_count=self.head_count.data,
            preferred_channel=self.preferred_channel.data,
            payroll_month=self.payroll_month.data,
            note=self.note.data or "",
        )

    def _named(self, part: str) -> Named:
        chosen = self[part].data
        mobile = self[f"{part}_mobile"].data or ""
        email = self.coordinator_email.data or "" if part == "coordinator" else ""
        person = Person(
            name=(self[f"{part}_name"].data or "") if chosen == NEW else "",
            title=self[f"{part}_title"].data or "",
            mobile=normalise_address(Channel.SMS, mobile),
            email=normalise_address(Channel.EMAIL, email),
        )
        return Named(person, is_new=chosen == NEW, is_nobody=chosen == NOBODY)


def _choices(contact: Contact | None) -> list[SelectChoice]:
    if contact is None:
        return [SelectChoice(NEW, _("由下面这位同志负责"))]
    return [
        SelectChoice(KEEP, _("仍是%(name)s", name=contact.name)),
        SelectChoice(NEW, _("改由另一位同志负责")),
    ]


def _months(campaign: Campaign) -> list[int]:
    """Those that the campaign has days in, in their order."""
    first, last = campaign.starts_on, campaign.ends_on
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [(first.month + number - 1) % 12 + 1 for number in range(min(count, 12))]


def _check_name(chosen: str, name: str) -> None:
    if chosen == NEW and not name:
        raise ValidationError(_("请填写姓名。"))


def _check_mobile(mobile: str) -> None:
    if mobile and not normalise_address(Channel.SMS, mobile):
        raise ValidationError(_("请填写 11 位大陆手机号码。"))
