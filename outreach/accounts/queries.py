"""Reads of people who sign in."""

import sqlalchemy as sa

from outreach.access import OFFICE
from outreach.accounts.models import User
from outreach.db import db


def list_office() -> list[User]:
    """People of the office whose accounts are in use."""
    return list(
        db.session.scalars(
            sa.select(User).where(User.role.in_(OFFICE), User.is_enabled).order_by(User.id)
        )
    )
