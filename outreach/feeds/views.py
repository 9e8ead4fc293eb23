"""The page on which a person makes their feed, and the feed itself, which a program reads."""

from flask import Blueprint, Response, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach.db import db
from outreach.feeds import services
from outreach.feeds.rendering import build_feed
from outreach.web import external_url

bp = Blueprint("feeds", __name__)


@bp.get("/calendar")
def show_feed() -> ResponseReturnValue:
    return render_template("feeds/feed.html", feed=services.find_feed(current_user), address="")


@bp.post("/calendar")
def create_feed() -> ResponseReturnValue:
    token = services.create_feed(current_user)
    db.session.commit()
    address = external_url("feeds.read_feed", token=token)
    feed = services.find_feed(current_user)
    return render_template("feeds/feed.html", feed=feed, address=address)


@bp.post("/calendar/revoke")
def revoke_feed() -> ResponseReturnValue:
    services.revoke_feed(current_user)
    db.session.commit()
    flash(_("已停用。订阅过这个地址的日历不会再更新。"), "success")
    return redirect(url_for(".show_feed"))


@bp.get("/calendar/<token>.ics")
def read_feed(token: str) -> ResponseReturnValue:
    owner = services.find_owner(token)
    if owner is None:
        abort(404)
    return Response(build_feed(owner), mimetype="text/calendar")
