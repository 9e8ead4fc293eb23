"""The audience of a wave, as it was when the wave was submitted for approval."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.campaigns.models import Solicitation
from outreach.db import Base, PrimaryKey
from outreach.messages.models import WithheldReason
from outreach.units.models import Contact


class WaveMember(Base):
    """A unit that the filter chose: it will be written to, or was left out for a reason."""

    __tablename__ = "wave_member"
    __table_args__ = (sa.UniqueConstraint("wave_id", "solicitation_id"),)

    id: Mapped[PrimaryKey]
    wave_id: Mapped[int] = mapped_column(sa.ForeignKey("wave.id"))
    solicitation_id: Mapped[int] = mapped_column(sa.ForeignKey("solicitation.id"))
    contact_id: Mapped[int | None] = mapped_column(sa.ForeignKey("contact.id"))
    address_hash: Mapped[str] = mapped_column(sa.String(64), default="")
    withheld_reason: Mapped[WithheldReason | None]
    facts: Mapped[dict[str, Any]]

    solicitation: Mapped[Solicitation] = relationship()
    contact: Mapped[Contact | None] = relationship()
