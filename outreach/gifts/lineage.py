"""Last year's money in the sectors of this year: each fen in one place, so that the sums agree.

Two bases. *As it was*: a gift counts for the sector that continues the one it was given in. Of
several that do, after a split, for the one in which its unit is now, or else for the first of them.
*As it is*: a gift counts for the sector in which its unit is now, wherever that was last year; what
has no unit, or one that is not in this campaign, counts as it was. The difference between the two
is what units took along when they moved.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Sector, SectorLineage, Solicitation
from outreach.campaigns.pace import DayAmount
from outreach.campaigns.queries import in_scope
from outreach.db import db
from outreach.gifts.models import Gift
from outreach.gifts.queries import sum_by_sector_and_day, sum_fen


@dataclass(frozen=True)
class Lineage:
    """Which sectors of a campaign continue which of the campaign before."""

    successors: dict[int, list[int]]
    """By id of last year's sector, in the federation's order."""
    sectors: list[Sector]
    """Of this year, in the federation's order: those that the viewer may see."""

    def place(self, then: int | None, now: int | None) -> int | None:
        """The sector of this year for which a gift counts as it was. `then`: the sector it was
        given in; `now`: that of its unit. None when no sector continues it."""
        heirs = self.successors.get(then, []) if then is not None else []
        return now if now in heirs else next(iter(heirs), None)

    @property
    def split(self) -> list[int]:
        """Sectors of last year that more than one continues."""
        return [id_ for id_, heirs in self.successors.items() if len(heirs) > 1]


def read_lineage(campaign: Campaign, viewer: User | None = None) -> Lineage:
    """Without a viewer the machine asks and sees all sectors."""
    is_visible = in_scope(viewer, Sector.id) if viewer else sa.true()
    successors: defaultdict[int, list[int]] = defaultdict(list)
    sectors: dict[Sector, None] = {}
    for sector, then, may_see in db.session.execute(
        sa.select(Sector, SectorLineage.predecessor_id, is_visible.label("is_visible"))
        .outerjoin(SectorLineage, SectorLineage.sector_id == Sector.id)
        .where(Sector.campaign_id == campaign.id)
        .order_by(Sector.position, Sector.id)
    ):
        if then is not None:
            successors[then].append(sector.id)
        if may_see:
            sectors[sector] = None
    return Lineage(dict(successors), list(sectors))


def inherited_by_day(campaign: Campaign, lineage: Lineage) -> dict[int | None, list[DayAmount]]:
    """Last year's gifts as they were, in fen by sector of this campaign and day. None holds what
    was not allocated, or to a sector that nobody continues."""
    amounts: defaultdict[tuple[int | None, date], int] = defaultdict(int)
    for then, entries in sum_by_sector_and_day(campaign.previous_id).items():
        for day, amount in entries:
            amounts[lineage.place(then, None), day] += amount
    # What is said above of a sector that was split is put right for the units of its other heirs.
    for then, now, day, amount in _split_by_unit(campaign, lineage.split):
        amounts[lineage.place(then, None), day] -= amount
        amounts[lineage.place(then, now), day] += amount
    history: defaultdict[int | None, list[DayAmount]] = defaultdict(list)
    for (sector_id, day), amount in sorted(amounts.items(), key=lambda entry: entry[0][1]):
        history[sector_id].append((day, amount))
    return dict(history)


def _split_by_unit(
    campaign: Campaign, split: list[int]
) -> Sequence[sa.Row[int | None, int, date, int]]:
    if not split:
        return []
    query = (
        sa.select(Gift.sector_id, Solicitation.sector_id, Gift.received_on, sum_fen())
        .join(Solicitation, Solicitation.unit_id == Gift.unit_id)
        .where(Gift.sector_id.in_(split), Solicitation.campaign_id == campaign.id)
        .group_by(Gift.sector_id, Solicitation.sector_id, Gift.received_on)
    )
    return db.session.execute(query).all()
