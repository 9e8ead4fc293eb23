"""Secrets that are handed out once, in a link or a cookie: only a hash of them is kept. They are
random and long, so a fast hash is enough."""

import hashlib
import secrets


def make_token() -> str:
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
