from datetime import date

from flask import Flask

from outreach.gifts.standings import (
    Status,
    campaign_figures,
    cumulative,
    find_standing,
    list_standings,
    sector_figures,
)
from tests import factories


def test_a_unit_without_a_pledge_has_given_when_anything_came_in(app: Flask):
    solicitation = factories.make_solicitation()
    assert find_standing(solicitation).is_outstanding
    factories.make_gift(solicitation, 1)
    standing = find_standing(solicitation)
    assert (standing.status, standing.given_fen) == (Status.GIVEN, 1)
    assert not standing.is_outstanding
    assert list_standings(solicitation.campaign, outstanding_only=True) == []
    assert sector_figures(solicitation.campaign)[0].given_count == 1
    assert campaign_figures(solicitation.campaign).total_fen == 1
    assert cumulative(solicitation.campaign) == [(date(2026, 10, 20), 1)]
