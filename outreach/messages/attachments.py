"""Files that go with messages."""

from collections.abc import Collection

import sqlalchemy as sa

from outreach import clock
from outreach.db import db
from outreach.messages.channels import EnclosedFile
from outreach.messages.models import Attachment, MessageAttachment


def keep(file: EnclosedFile) -> Attachment:
    """Takes the file as it is now; `queue_message` is given what is returned."""
    attachment = Attachment(**vars(file), created_at=clock.now())
    db.session.add(attachment)
    db.session.flush()
    return attachment


def find(message_id: int) -> Attachment | None:
    """The file that the message carries; its content is read when it is asked for."""
    return db.session.scalar(
        sa.select(Attachment)
        .join(MessageAttachment, MessageAttachment.attachment_id == Attachment.id)
        .where(MessageAttachment.message_id == message_id)
    )


def read(message_ids: Collection[int]) -> dict[int, EnclosedFile]:
    """What these messages carry, by message."""
    if not message_ids:
        return {}
    rows = db.session.execute(
        sa.select(
            MessageAttachment.message_id,
            Attachment.name,
            Attachment.media_type,
            Attachment.content,
        )
        .join(Attachment, Attachment.id == MessageAttachment.attachment_id)
        .where(MessageAttachment.message_id.in_(message_ids))
    )
    return {id_: EnclosedFile(name, type_, content) for id_, name, type_, content in rows}
