"""A copy of all that is kept about a person: sheets of a .xlsx, or the same as JSON."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.privacy.queries import Dossier, Mention
from outreach.relay.links import hide_links
from outreach.settings.actions import describe_action
from outreach.spreadsheets.listings import Cell, Field, Listing, Style

CONTACTS = (
    Field(_("单位"), width=36),
    Field(_("姓名")),
    Field(_("职务"), width=20),
    Field(_("分工"), width=12),
    Field(_("手机号码"), width=16),
    Field(_("电子邮箱"), width=30),
    Field(_("首选渠道"), width=10),
    Field(_("任职开始日"), Style.DAY, width=12),
    Field(_("任职截止日"), Style.DAY, width=12),
)
LETTERS = (
    Field(_("时间"), width=18),
    Field(_("事由"), width=14),
    Field(_("渠道"), width=10),
    Field(_("地址"), width=30),
    Field(_("状态"), width=14),
    Field(_("主题"), width=40),
    Field(_("正文"), width=80),
)
WAVES = (
    Field(_("批次"), width=40),
    Field(_("建立时间"), width=18),
    Field(_("未发原因"), width=30),
)
OPT_OUTS = (Field(_("渠道"), width=10), Field(_("地址"), width=30), Field(_("退订时间"), width=18))
MEETINGS = (
    Field(_("会议"), width=40),
    Field(_("时间"), width=18),
    Field(_("答复"), width=12),
    Field(_("代为参会")),
    Field(_("签到时间"), width=18),
)
TODOS = (
    Field(_("事项"), width=20),
    Field(_("期限"), Style.DAY, width=12),
    Field(_("事由"), width=50),
    Field(_("结果"), width=20),
    Field(_("说明"), width=50),
)
EVENTS = (Field(_("时间"), width=18), Field(_("操作"), width=20), Field(_("操作人")))
MENTIONS = (
    Field(_("出处"), width=14),
    Field(_("单位或会议"), width=40),
    Field(_("文字"), width=80),
)


def list_all(dossier: Dossier) -> list[Listing]:
    """A list for each kind of record, also where there is none."""
    return [
        Listing(_("登记信息"), CONTACTS, list(_contacts(dossier))),
        Listing(_("消息"), LETTERS, list(_letters(dossier))),
        Listing(_("提醒批次"), WAVES, list(_waves(dossier))),
        Listing(_("退订"), OPT_OUTS, list(_opt_outs(dossier))),
        Listing(_("会议"), MEETINGS, list(_meetings(dossier))),
        Listing(_("待办"), TODOS, list(_todos(dossier))),
        Listing(_("操作日志"), EVENTS, list(_events(dossier))),
        Listing(_("提到姓名的文字"), MENTIONS, list(_mentions(dossier))),
    ]


def write_json(listings: Sequence[Listing]) -> bytes:
    """An object with a list of objects for each list; values are text, as people read them."""
    content = {
        str(listing.name): [
            {
                str(field.title): "" if value is None else str(value)
                for field, value in zip(listing.fields, row, strict=True)
            }
            for row in listing.rows
        ]
        for listing in listings
    }
    return json.dumps(content, ensure_ascii=False, indent=2).encode()


def describe_place(mention: Mention) -> str:
    """The unit or the meeting about which it was written."""
    return mention.unit.name if mention.unit else mention.meeting.title if mention.meeting else ""


def _contacts(dossier: Dossier) -> Iterator[Sequence[Cell]]:
    for contact in dossier.contacts:
        preferred = contact.preferred_channel
        yield (
            contact.unit.name,
            contact.name,
            contact.title,
            contact.role.label,
            contact.mobile.removeprefix("+86"),
            contact.email,
            preferred.label if preferred else None,
            contact.valid_from,
            contact.valid_to,
        )


def _letters(dossier: Dossier) -> Iterator[Sequence[Cell]]:
    for letter in dossier.letters:
        yield (
            _moment(letter.sent_at or letter.queued_at),
            letter.purpose.label,
            letter.channel.label,
            letter.address.removeprefix("+86"),
            letter.status.label,
            letter.subject,
            hide_links(letter.body_text),
        )


def _waves(dossier: Dossier) -> Iterator[Sequence[Cell]]:
    for wave, member in dossier.memberships:
        reason = member.withheld_reason
        yield wave.name, _moment(wave.created_at), reason.label if reason else None


def _opt_outs(dossier: Dossier) -> Iterator[Sequence[Cell]]:
    for row in dossier.opt_outs:
        address = dossier.addresses[row.channel, row.address_hash]
        yield row.channel.label, address.removeprefix("+86"), _moment(row.at)


def _meetings(dossier: Dossier) -> Iterator[Sequence[Cell]]:
    for invitation in dossier.invitations:
        yield (
            invitation.meeting.title,
            _moment(invitation.meeting.starts_at),
            invitation.partstat.label,
            invitation.delegate_name,
            _moment(invitation.signed_in_at),
        )


def _todos(dossier: Dossier) -> Iterator[Sequence[Cell]]:
    for todo in dossier.todos:
        outcome = todo.outcome.label if todo.outcome else todo.status.label
        yield todo.kind.label, todo.due_on, todo.reason, outcome, todo.note


def _events(dossier: Dossier) -> Iterator[Sequence[Cell]]:
    for event in dossier.events:
        yield _moment(event.at), describe_action(event.action), event.user_name


def _mentions(dossier: Dossier) -> Iterator[Sequence[Cell]]:
    for mention in dossier.mentions:
        yield mention.label, describe_place(mention), mention.text


def _moment(instant: datetime | None) -> str:
    return f"{clock.local(instant):%Y-%m-%d %H:%M}" if instant else ""
