"""Takes people out of the outbox. That something was sent stays, and when; to whom and what it said
goes. The hash of the address stays too: who was written to is not written to again (caps), and an
opt-out outlives the person."""

from collections.abc import Collection

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach.db import db, one_of, run, table_of
from outreach.errors import Refused
from outreach.messages.models import Message, MessageStatus
from outreach.messages.states import move

IN_DOUBT = (MessageStatus.SENDING, MessageStatus.UNKNOWN)


def erase_letters(contact_ids: Collection[int], *, name: str) -> int:
    """Cancels what has not gone to these contacts and empties all that was written to them, which
    then bears `name`; returns how many messages that were. Refused while one of them is on its
    way, or nobody knows whether it arrived: it may have to be sent once more."""
    is_theirs = Message.contact_id.in_(contact_ids)
    move({MessageStatus.QUEUED}, MessageStatus.CANCELLED, is_theirs)
    doubtful = sa.select(Message.id).where(is_theirs, one_of(Message.status, *IN_DOUBT))
    if db.session.scalar(doubtful.limit(1)) is not None:
        raise Refused(
            _(
                "有发给本人的消息正在发送，或结果不明。请过几分钟再试；结果不明的，先到“消息”页认定。"
            )
        )
    emptied = run(
        sa.update(table_of(Message))
        .where(is_theirs, Message.recipient_name != name)
        .values(
            recipient_name=name,
            address="",
            domain="",
            subject="",
            body_text="",
            body_html="",
            calendar="",
            variables=[],
        )
    )
    return int(emptied.rowcount)
