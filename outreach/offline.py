"""What a phone needs to work without a network: the installed app's description, the worker that
keeps today's pages, and a token for forms that waited."""

from flask import Blueprint, Response, current_app, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user
from flask_wtf.csrf import generate_csrf

from outreach.web import language_code

bp = Blueprint("offline", __name__)

COLOUR = "#1d5b8f"
ICONS = (
    ("icon-192.png", "192x192", "any"),
    ("icon-512.png", "512x512", "any"),
    ("icon-maskable-512.png", "512x512", "maskable"),
)


@bp.get("/manifest.webmanifest")
def manifest() -> ResponseReturnValue:
    """https://www.w3.org/TR/appmanifest/"""
    described = {
        "id": "/",
        "name": _("慈善一日捐劝募"),
        "short_name": _("一日捐"),
        "lang": language_code(),
        "start_url": url_for("overview.my_day"),
        "scope": "/",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": COLOUR,
        "icons": [
            {
                "src": url_for("static", filename=f"icons/{name}"),
                "sizes": sizes,
                "type": "image/png",
                "purpose": purpose,
            }
            for name, sizes, purpose in ICONS
        ],
    }
    return described, {"Content-Type": "application/manifest+json"}


@bp.get("/sw.js")
def worker() -> Response:
    """Served from the root, since a worker serves what lies below its own address."""
    response = current_app.send_static_file("sw.js")
    response.headers["Cache-Control"] = "no-cache"
    return response


@bp.get("/offline")
def page() -> ResponseReturnValue:
    """What is shown for a page that the phone has not kept."""
    return render_template("offline.html")


@bp.get("/session")
def session() -> ResponseReturnValue:
    """Who is signed in, and a token under which forms that waited are sent."""
    return {"user": str(current_user.id), "csrf_token": generate_csrf()}
