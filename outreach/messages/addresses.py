"""Addresses in the one form in which they are stored and compared."""

import hashlib
import re

import phonenumbers
from flask import current_app, has_app_context

from outreach.messages.models import ROBOT_PREFIX, Channel

_EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}"
)
MAINLAND = 86
_ROBOT = re.compile(ROBOT_PREFIX + r"[1-9][0-9]{0,9}")
_MOBILE = {
    phonenumbers.PhoneNumberType.MOBILE,
    phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
}


def normalise_address(channel: Channel, address: str) -> str:
    """Lower-case e-mail address; E.164 number of a mobile, of mainland China or where the settings
    allow it of any country; or «robot:12». Empty when the address is not one of its channel and
    cannot be written to."""
    if channel is Channel.SMS:
        return _normalise_mobile(address)
    if channel is Channel.WECOM:
        return address if _ROBOT.fullmatch(address) else ""
    email = address.strip().lower()
    return email if len(email) <= 254 and _EMAIL.fullmatch(email) else ""


def hash_address(channel: Channel, address: str) -> str:
    """SHA-256 of the normalised address; empty when it cannot be written to."""
    return hash_normalised(channel, normalise_address(channel, address))


def hash_normalised(channel: Channel, normalised: str) -> str:
    if not normalised:
        return ""
    return hashlib.sha256(f"{channel.value}:{normalised}".encode()).hexdigest()


def domain_of(channel: Channel, normalised: str) -> str:
    """What has a rate of its own besides the channel: the domain of an e-mail address, or a
    group's robot."""
    return normalised if channel is Channel.WECOM else normalised.partition("@")[2][:190]


def _normalise_mobile(text: str) -> str:
    try:
        number = phonenumbers.parse(text, "CN")
    except phonenumbers.NumberParseException:
        return ""
    is_ours = number.country_code == MAINLAND or _may_leave_the_country()
    is_mobile = phonenumbers.number_type(number) in _MOBILE
    if not (is_ours and is_mobile and phonenumbers.is_valid_number(number)):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _may_leave_the_country() -> bool:
    """Whether numbers outside mainland China are written to: their data goes abroad with them."""
    return has_app_context() and current_app.extensions["outreach.settings"].sms_foreign_numbers
