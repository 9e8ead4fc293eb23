"""Where the provider of text messages reports deliveries and replies. It cannot sign what it says:
a secret in the address stands for that, and what it says counts once however often it comes."""

import hmac
import json
from typing import Any

from flask import current_app, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.db import db
from outreach.errors import NotFound
from outreach.messages import sms_receipts
from outreach.messages.channels.sms import Provider
from outreach.messages.public_views import bp
from outreach.web import csrf

LARGEST_BODY = 1024 * 1024
"""Bytes; some thousand reports."""

ANSWERS = {
    "aliyun": {"code": 0, "msg": "成功"},
    "tencent": {"result": 0, "errmsg": "OK"},
}
"""What the provider takes for «got it»; it pushes again what was answered otherwise."""


@bp.post("/callbacks/sms/<provider>/<secret>/reports")
@csrf.exempt
def take_sms_reports(provider: str, secret: str) -> ResponseReturnValue:
    reader = _find_reader(provider, secret)
    sms_receipts.take_reports(reader.read_reports(_read_body()), clock.now())
    db.session.commit()
    return ANSWERS[provider]


@bp.post("/callbacks/sms/<provider>/<secret>/replies")
@csrf.exempt
def take_sms_replies(provider: str, secret: str) -> ResponseReturnValue:
    reader = _find_reader(provider, secret)
    sms_receipts.take_replies(reader.read_replies(_read_body()))
    db.session.commit()
    return ANSWERS[provider]


def _find_reader(provider: str, secret: str) -> Provider:
    settings = current_app.extensions["outreach.settings"]
    expected = settings.sms_callback_secret
    is_known = hmac.compare_digest(secret.encode(), expected.encode()) and bool(expected)
    channel = current_app.extensions["outreach.sms_channel"]
    if not is_known or channel is None or provider != settings.sms_provider:
        raise NotFound(_("没有这个地址。"))
    return channel.provider


def _read_body() -> Any:
    """None when it is no JSON."""
    request.max_content_length = LARGEST_BODY
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError):
        return None
