"""The digest as an e-mail, and in short for groups. What is sent is Chinese, whatever language the
pages are in."""

from dataclasses import dataclass
from typing import Any

import css_inline
from flask import current_app
from flask_babel import force_locale

from outreach import money
from outreach.digests.figures import Direction, Figures, SectorLine
from outreach.digests.models import Digest

MOST_NAMED = 20
"""Units and visits that the e-mail names; the page has all of them."""


MOST_SECTORS = 5
"""Lagging sectors that the secretariat's group is told by name."""
FEWEST_GIVERS = 3
"""With fewer, the sum of a sector would tell its group what one of them gave."""
_MARKUP = str.maketrans("<>[]*`#", "＜＞［］＊｀＃")


@dataclass(frozen=True)
class Mail:
    subject: str
    text: str
    html: str


def render_mail(digest: Digest) -> Mail:
    values = _values(digest) | {"most_named": MOST_NAMED}
    with force_locale("zh_Hans_CN"):
        html = _render("mail/digest.html", values)
        return Mail(
            subject=f"{digest.campaign.name}周报 第 {digest.number} 期",
            text=_render("mail/digest.txt", values),
            html=css_inline.inline(html, load_remote_stylesheets=False, keep_style_tags=False),
        )


def render_group_digest(digest: Digest) -> str:
    """For the secretariat's group, as markdown: sums, sectors and what waits; no unit."""
    values = _values(digest) | {"most_named": MOST_SECTORS}
    with force_locale("zh_Hans_CN"):
        return _render("wecom/digest.md", values)


def render_progress(digest: Digest, sector: SectorLine) -> str:
    """For the group of a sector, as markdown: how far it has come as a whole, and thanks. Units
    read it side by side: it names none, ranks none, and does not count those that did not give."""
    values = _values(digest) | {"sector": sector, "fewest_givers": FEWEST_GIVERS}
    with force_locale("zh_Hans_CN"):
        return _render("wecom/progress.md", values)


def _values(digest: Digest) -> dict[str, Any]:
    return {
        "digest": digest,
        "campaign": digest.campaign,
        "figures": Figures.model_validate(digest.figures),
        "Direction": Direction,
        "address": f"{_base_url()}/c/{digest.campaign.code}/digests/{digest.id}",
        "difference": _describe_difference,
        "plain": _plain,
    }


def _describe_difference(fen: int) -> str:
    if fen == 0:
        return "持平"
    return f"{'高出' if fen > 0 else '少'} {money.format_wan_yuan(abs(fen))} 万元"


def _plain(text: str) -> str:
    """A name without what WeCom would read as markup, or as a call to everybody («<@all>»)."""
    return text.translate(_MARKUP)


def _render(name: str, values: dict[str, Any]) -> str:
    # Not flask.render_template: that brings what pages need of a request and of who is signed in.
    return current_app.jinja_env.get_template(name).render(values)


def _base_url() -> str:
    return str(current_app.extensions["outreach.settings"].public_base_url).rstrip("/")
