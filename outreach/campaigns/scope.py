"""Pages below /c/<campaign>/ belong to one campaign: it is read from the address into `g`."""

from typing import Any

from flask import Blueprint, Flask, current_app, g
from flask_login import current_user

from outreach.campaigns.queries import get_campaign, list_campaigns


def campaign_blueprint(name: str, import_name: str) -> Blueprint:
    return Blueprint(name, import_name, url_prefix="/c/<campaign_code>")


def install(app: Flask) -> None:
    app.url_value_preprocessor(_read_campaign)
    app.url_defaults(_add_campaign)
    app.context_processor(
        lambda: {
            "campaign": g.get("campaign"),
            "campaigns": list_campaigns() if current_user.is_authenticated else [],
        }
    )


def _read_campaign(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    if values and "campaign_code" in values:
        g.campaign_code = values.pop("campaign_code")


def load_campaign() -> None:
    """Runs before the view and after the access check, so that strangers learn nothing."""
    if "campaign_code" in g:
        g.campaign = get_campaign(g.campaign_code)


def _add_campaign(endpoint: str, values: dict[str, Any]) -> None:
    is_wanted = current_app.url_map.is_endpoint_expecting(endpoint, "campaign_code")
    if is_wanted and "campaign_code" in g:
        values.setdefault("campaign_code", g.campaign_code)
