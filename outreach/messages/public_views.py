"""What people at the units may do without signing in: say that they want no more of our letters.

A GET only shows, since mail scanners follow every link; a POST acts (RFC 8058). The token in the
address is the signature, so that no session and no form token is needed."""

from http import HTTPStatus

from flask import render_template
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from outreach.db import db
from outreach.errors import NotFound
from outreach.messages import opt_outs
from outreach.messages.models import Channel
from outreach.messages.template_views import bp
from outreach.web import csrf


@bp.get("/opt-out/<token>")
def opt_out(token: str) -> ResponseReturnValue:
    channel, address_hash = _read(token)
    return _show(token, channel, is_out=opt_outs.find(channel, address_hash) is not None)


@bp.post("/opt-out/<token>")
@csrf.exempt
def confirm_opt_out(token: str) -> ResponseReturnValue:
    channel, address_hash = _read(token)
    opt_outs.add(channel, address_hash, source="link")
    db.session.commit()
    return _show(token, channel, is_out=True)


@bp.post("/opt-out/<token>/undo")
@csrf.exempt
def undo_opt_out(token: str) -> ResponseReturnValue:
    channel, address_hash = _read(token)
    opt_outs.withdraw(channel, address_hash, reason="link")
    db.session.commit()
    return _show(token, channel, is_out=False)


def _read(token: str) -> tuple[Channel, str]:
    target = opt_outs.read_token(token)
    if target is None:
        raise NotFound(_("这个退订链接不完整。请从邮件里重新点开，或直接回复邮件告诉我们。"))
    return target


def _show(token: str, channel: Channel, *, is_out: bool) -> ResponseReturnValue:
    page = render_template("messages/opt_out.html", token=token, channel=channel, is_out=is_out)
    return page, HTTPStatus.OK
