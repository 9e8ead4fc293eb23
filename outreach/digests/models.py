"""The weekly digest as it was built: figures are stored, so that an old one never changes."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.campaigns.models import Campaign
from outreach.db import Base, PrimaryKey


class Digest(Base):
    __tablename__ = "digest"
    __table_args__ = (sa.UniqueConstraint("campaign_id", "iso_year", "iso_week"),)

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"))
    iso_year: Mapped[int]
    iso_week: Mapped[int]
    """The week in which it was built; it reports on the week before."""
    number: Mapped[int]
    """Week of the campaign: 第 N 期."""
    built_at: Mapped[datetime]
    figures: Mapped[dict[str, Any]]
    """Amounts in fen, days as ISO text: see `digests.services.build_digest`."""

    campaign: Mapped[Campaign] = relationship()
