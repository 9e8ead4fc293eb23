"""How many of a unit's people gave."""

from dataclasses import dataclass

import sqlalchemy as sa

from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.gifts.models import Gift, GiftKind
from outreach.units.queries import find_head_count


@dataclass(frozen=True)
class Participation:
    donor_count: int
    """People of the unit who gave, as far as the lists say."""
    head_count: int | None
    """People of the unit in the year of the campaign; None when nobody knows."""

    @property
    def rate(self) -> float | None:
        """None when it cannot be known: the head-count is missing, or too small to be right."""
        if not self.head_count or self.donor_count > self.head_count:
            return None
        return self.donor_count / self.head_count

    @property
    def is_impossible(self) -> bool:
        return self.head_count is not None and self.donor_count > self.head_count


def read_participation(solicitation: Solicitation) -> Participation:
    sign = sa.case((Gift.reversal_of_id.is_(None), 1), else_=-1)
    donors = db.session.scalar(
        sa.select(sa.func.sum(Gift.donor_count * sign)).where(
            Gift.campaign_id == solicitation.campaign_id,
            Gift.unit_id == solicitation.unit_id,
            Gift.kind == GiftKind.INDIVIDUAL,
        )
    )
    heads = find_head_count(solicitation.unit_id, solicitation.campaign_id)
    return Participation(donors or 0, heads.count if heads else None)
