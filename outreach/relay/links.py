"""The link by which a coordinator confirms, without an account. It is signed and names nobody."""

import hashlib
import re
from collections.abc import Sequence

from flask import current_app
from itsdangerous import BadSignature, Signer

from outreach import web
from outreach.campaigns.models import Campaign
from outreach.units.models import Contact


def relay_link(campaign: Campaign, contacts: Sequence[Contact]) -> str:
    """For the person who answers for several units, each of them a contact of one unit."""
    ids = [campaign.id, *(contact.id for contact in contacts)]
    token = _signer().sign("-".join(map(str, ids))).decode()
    return web.external_url("confirmations.confirmation", token=token)


def read_token(token: str) -> tuple[int, list[int]] | None:
    """Ids of the campaign and of the contacts; None when we did not sign the token."""
    try:
        campaign_id, *contact_ids = map(int, _signer().unsign(token).split(b"-"))
    except BadSignature:
        return None
    return campaign_id, contact_ids


def hide_links(text: str) -> str:
    """The text as people of the office read it: the link is the unit's own signature."""
    return _LINK.sub("/confirm/…/", text)


_LINK = re.compile(r"/confirm/[\w.-]+/", re.ASCII)


def _signer() -> Signer:
    return Signer(current_app.config["SECRET_KEY"], salt="relay", digest_method=hashlib.sha256)
