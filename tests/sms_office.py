"""An application whose text messages go to a local provider."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from app import make_sms_channel
from outreach.messages.models import Channel
from tests.sms_server import APP_ID, KEY_ID, KEY_SECRET, Misbehaviour, SmsServer

SECRET = "a-secret-of-more-than-24-characters"


def use_provider(app: Flask, provider: str, endpoint: str = "http://127.0.0.1:9") -> None:
    """Sets the application up for the provider as a start with such settings would."""
    settings = app.extensions["outreach.settings"]
    settings.sms_provider = provider
    settings.sms_endpoint = endpoint
    settings.sms_key_id, settings.sms_key_secret = KEY_ID, KEY_SECRET
    settings.sms_app_id, settings.sms_callback_secret = APP_ID, SECRET
    channel = make_sms_channel(settings)
    app.extensions["outreach.sms_channel"] = channel
    app.extensions["outreach.channels"][Channel.SMS] = channel.open


@contextmanager
def local_provider(app: Flask, provider: str, *script: Misbehaviour) -> Iterator[SmsServer]:
    with SmsServer(*script) as server:
        use_provider(app, provider, server.endpoint)
        yield server
