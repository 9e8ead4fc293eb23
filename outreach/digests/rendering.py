"""The digest as an e-mail. What is mailed is Chinese, whatever language the pages are in."""

from dataclasses import dataclass
from typing import Any

import css_inline
from flask import current_app
from flask_babel import force_locale

from outreach.digests.figures import Direction, Figures
from outreach.digests.models import Digest

MOST_NAMED = 20
"""Units and visits that the e-mail names; the page has all of them."""


@dataclass(frozen=True)
class Mail:
    subject: str
    text: str
    html: str


def render_mail(digest: Digest) -> Mail:
    figures = Figures.model_validate(digest.figures)
    values = {
        "digest": digest,
        "campaign": digest.campaign,
        "figures": figures,
        "Direction": Direction,
        "most_named": MOST_NAMED,
        "address": f"{_base_url()}/c/{digest.campaign.code}/digests/{digest.id}",
    }
    with force_locale("zh_Hans_CN"):
        html = _render("mail/digest.html", values)
        return Mail(
            subject=f"{digest.campaign.name}周报 第 {digest.number} 期",
            text=_render("mail/digest.txt", values),
            html=css_inline.inline(html, load_remote_stylesheets=False, keep_style_tags=False),
        )


def _render(name: str, values: dict[str, Any]) -> str:
    # Not flask.render_template: that brings what pages need of a request and of who is signed in.
    return current_app.jinja_env.get_template(name).render(values)


def _base_url() -> str:
    return str(current_app.extensions["outreach.settings"].public_base_url).rstrip("/")
