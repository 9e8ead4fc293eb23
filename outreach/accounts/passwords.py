"""Passwords: argon2id, and which ones are too easy to guess."""

import base64
import re
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from flask import current_app
from flask_babel import lazy_gettext as _

from outreach.errors import Refused

SHORTEST = 12
LONGEST = 128
COST = {"time_cost": 2, "memory_cost": 19_456, "parallelism": 1}
"""What OWASP advises for argon2id: 19 MiB, two passes. PASSWORD_COST in app.config replaces it."""


def hash_password(password: str) -> str:
    return _hasher().hash(password)


def is_correct(password_hash: str, password: str) -> bool:
    """Takes the same time when there is no hash (unknown user, invitation not yet accepted)."""
    hasher = _hasher()
    try:
        hasher.verify(password_hash or _decoy(hasher), password)
    except VerifyMismatchError:
        return False
    return bool(password_hash)


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made at another cost than today's."""
    return _hasher().check_needs_rehash(password_hash)


def check_strength(password: str, *, username: str, name: str) -> None:
    """Refused, with the reason, when the password is short or easy to guess."""
    typed = password.casefold()
    letters = re.sub(r"[\W\d_]+", "", typed)
    if len(password) < SHORTEST:
        raise Refused(_("密码至少 %(count)s 个字符。", count=SHORTEST))
    if typed.isdecimal():
        raise Refused(_("密码不能全是数字，例如手机号码或日期。"))
    if len(set(typed)) < 5 or typed in _common() or letters in _common():
        raise Refused(_("这个密码太常见，容易被猜中。可以用几个互不相关的词组成一句话。"))
    if username.casefold() in typed or (len(name) > 1 and name.casefold() in typed):
        raise Refused(_("密码中不能含有用户名或姓名。"))


def _hasher() -> PasswordHasher:
    return PasswordHasher(**current_app.config.get("PASSWORD_COST", COST))


def _decoy(hasher: PasswordHasher) -> str:
    """A well-formed hash of today's cost that no password has."""
    salt, digest = (base64.b64encode(bytes(size)).rstrip(b"=").decode() for size in (16, 32))
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"


@cache
def _common() -> frozenset[str]:
    lines = Path(__file__).with_name("common_passwords.txt").read_text().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))
