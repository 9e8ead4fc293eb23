"""A person sends a letter to themselves, to read it as its recipient would."""

from datetime import timedelta
from typing import Any, Protocol

from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.errors import Refused
from outreach.messages import queueing
from outreach.messages.addresses import normalise_address
from outreach.messages.models import Channel, Purpose, TemplateVersion
from outreach.messages.queries import sending_state
from outreach.messages.rendering import ROOM_FOR_SUBJECT, Rendered

MARK = "[测试] "
WORTH_WAITING = timedelta(hours=1)


class Letter(Protocol):
    """A text as one recipient would read it."""

    @property
    def version(self) -> TemplateVersion: ...
    @property
    def rendered(self) -> Rendered: ...
    @property
    def reply_to(self) -> str: ...
    @property
    def variables(self) -> tuple[tuple[str, str], ...]: ...


def queue_test(letter: Letter, *, about: str, to: Any) -> bool:
    """Queues the letter for `to`, at the address of their account; False when this person had the
    same one (`about`) sent in this minute. A text message carries no mark: providers take the
    approved wording and no other."""
    rendered, channel = letter.rendered, letter.version.template.channel
    now = clock.now()
    state = sending_state(now)
    if not state.is_on:
        raise Refused(state.reason)
    address = normalise_address(channel, to.email if channel is Channel.EMAIL else to.mobile)
    if not address:
        raise Refused(_NO_ADDRESS[channel])
    return queueing.queue_message(
        purpose=Purpose.TEST,
        channel=channel,
        occurrence=f"test:{about}:{to.id}:{now:%Y%m%d%H%M}",
        address=address,
        recipient_name=to.name,
        subject=f"{MARK}{rendered.subject}"[:ROOM_FOR_SUBJECT] if rendered.subject else "",
        body_text=rendered.text,
        reply_to=letter.reply_to,
        provider_template=letter.version.provider_template,
        variables=letter.variables,
        not_after=now + WORTH_WAITING,
    )


_NO_ADDRESS = {
    Channel.EMAIL: _("您的账号没有登记邮箱，无法试发。请管理员在“设置—用户”中补上。"),
    Channel.SMS: _("您的账号没有登记手机号码，无法试发。请管理员在“设置—用户”中补上。"),
}
