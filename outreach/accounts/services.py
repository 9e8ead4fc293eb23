"""Changes to people's accounts. Whoever changes what a person may do also ends their sessions."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import audit, clock
from outreach.access import Role
from outreach.accounts import passwords, sessions
from outreach.accounts.models import User, UserSector
from outreach.accounts.tokens import hash_token, make_token
from outreach.db import db
from outreach.errors import NotFound, Refused

INVITATION_LASTS = timedelta(hours=72)
_USERNAME = re.compile(r"[a-z][a-z0-9._-]{1,59}")


@dataclass(frozen=True)
class Profile:
    """What an administrator decides about a person."""

    name: str
    role: Role
    email: str = ""
    mobile: str = ""
    is_enabled: bool = True
    sector_ids: frozenset[int] = frozenset()
    """Only a liaison's are kept; other roles see every sector."""


def find_user(username: str) -> User | None:
    return db.session.scalar(sa.select(User).filter_by(username=username.lower()))


def find_enabled_user(user_id: int | None) -> User | None:
    return db.session.scalar(sa.select(User).where(User.id == user_id, User.is_enabled))


def get_user(user_id: int) -> User:
    user = db.session.get(User, user_id)
    if user is None:
        raise NotFound(_("没有这个用户。"))
    return user


def list_users() -> list[User]:
    return list(
        db.session.scalars(sa.select(User).order_by(User.is_enabled.desc(), User.role, User.id))
    )


def profile_of(user: User) -> Profile:
    return Profile(
        name=user.name,
        role=user.role,
        email=user.email,
        mobile=user.mobile,
        is_enabled=user.is_enabled,
        sector_ids=frozenset(link.sector_id for link in user.sectors),
    )


def create_user(username: str, profile: Profile) -> User:
    username = username.lower()
    if not _USERNAME.fullmatch(username):
        raise Refused(_("用户名以字母开头，只用字母、数字、点、横线和下划线，2 至 60 个字符。"))
    if find_user(username):
        raise Refused(_("用户名“%(username)s”已被使用。", username=username))
    user = User(username=username, created_at=clock.now())
    _apply(user, profile)
    db.session.add(user)
    db.session.flush()
    audit.record("create.user", f"user_account:{user.id}", role=user.role)
    return user


def update_user(user: User, profile: Profile) -> None:
    """Refused for the last administrator's role or access: nobody could mend it afterwards."""
    loses_access = user.is_enabled and not profile.is_enabled
    changes_role = user.role is not profile.role
    if user.role is Role.ADMINISTRATOR and (loses_access or changes_role):
        _keep_an_administrator(user)
    before = user.role
    _apply(user, profile)
    if loses_access or changes_role:
        sessions.end_all_sessions(user)
    if loses_access:
        _withdraw_invitation(user)
    audit.record(
        "change.user",
        f"user_account:{user.id}",
        role_before=before,
        role=user.role,
        is_enabled=user.is_enabled,
        sectors=sorted(profile.sector_ids),
    )


def invite(user: User) -> str:
    """A token for one use, to choose a password with; an earlier one no longer works."""
    if not user.is_enabled:
        raise Refused(_("账号已停用。请先启用，再发邀请。"))
    token = make_token()
    user.invitation_hash = hash_token(token)
    user.invitation_expires_at = clock.now() + INVITATION_LASTS
    audit.record("invite.user", f"user_account:{user.id}")
    return token


def get_invited(token: str) -> User:
    """Whom the token invites; NotFound when it was used, replaced, or is too old."""
    user = db.session.scalar(
        sa.select(User).where(
            User.invitation_hash == hash_token(token),
            User.invitation_expires_at > clock.now(),
            User.is_enabled,
        )
    )
    if user is None:
        raise NotFound(_("邀请链接已失效。请联系管理员重新生成。"))
    return user


def set_password(user: User, password: str) -> None:
    """Ends the person's sessions everywhere; the caller starts a new one for this browser."""
    passwords.check_strength(password, username=user.username, name=user.name)
    user.password_hash = passwords.hash_password(password)
    _withdraw_invitation(user)
    sessions.end_all_sessions(user)
    audit.record("change.password", f"user_account:{user.id}")


def _apply(user: User, profile: Profile) -> None:
    user.name, user.role = profile.name, profile.role
    user.email, user.mobile = profile.email, profile.mobile
    user.is_enabled = profile.is_enabled
    wanted: Iterable[int] = profile.sector_ids if profile.role is Role.LIAISON else ()
    kept = {link.sector_id: link for link in user.sectors}
    user.sectors = [kept.get(id_) or UserSector(sector_id=id_) for id_ in sorted(wanted)]


def _keep_an_administrator(user: User) -> None:
    others = sa.select(sa.func.count()).where(
        User.role == Role.ADMINISTRATOR, User.is_enabled, User.id != user.id
    )
    if not db.session.scalar(others):
        raise Refused(_("至少要保留一名可用的管理员。请先指定另一名管理员。"))


def _withdraw_invitation(user: User) -> None:
    user.invitation_hash = user.invitation_expires_at = None
