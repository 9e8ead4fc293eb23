from flask import Blueprint, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach import audit
from outreach.accounts import passwords, services, sessions, throttle
from outreach.accounts.forms import ChangePasswordForm, NewPasswordForm, SignInForm
from outreach.accounts.models import User
from outreach.accounts.throttle import TooManyAttempts
from outreach.db import db
from outreach.errors import Refused
from outreach.web import local_path

bp = Blueprint("accounts", __name__)


@bp.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    target = local_path(request.args.get("next", ""))
    if current_user.is_authenticated:
        return redirect(target)
    form = SignInForm()
    if not form.validate_on_submit():
        return render_template("accounts/login.html", form=form)
    try:
        user = _check_password(form.username.data.lower(), form.password.data)
    except (WrongPassword, TooManyAttempts) as refusal:
        form.form_errors = [refusal.message]
        return render_template("accounts/login.html", form=form), refusal.status
    if passwords.is_outdated(user.password_hash):
        user.password_hash = passwords.hash_password(form.password.data)
    sessions.start_session(user)
    audit.record("sign_in.user", f"user_account:{user.id}")
    db.session.commit()
    return redirect(target)


@bp.post("/logout")
def logout() -> ResponseReturnValue:
    audit.record("sign_out.user", f"user_account:{current_user.id}")
    sessions.end_session()
    db.session.commit()
    return redirect("/login")


@bp.route("/password", methods=["GET", "POST"])
def change_password() -> ResponseReturnValue:
    form = ChangePasswordForm()
    if form.validate_on_submit():
        try:
            user = _check_password(current_user.username, form.current_password.data)
        except WrongPassword:
            form.current_password.errors = [_("当前密码不正确。")]
        else:
            if _set_password(form, user):
                flash(_("密码已修改。其他设备上的登录已全部退出。"), "success")
                return redirect("/")
    return render_template("accounts/change_password.html", form=form)


@bp.route("/invitation/<token>", methods=["GET", "POST"])
def accept_invitation(token: str) -> ResponseReturnValue:
    user = services.get_invited(token)
    form = NewPasswordForm()
    if form.validate_on_submit() and _set_password(form, user):
        flash(_("密码已设置，您已登录。"), "success")
        return redirect("/")
    return render_template("accounts/accept_invitation.html", form=form, user=user)


class WrongPassword(Refused):
    """The same for a wrong password and for a user who does not exist or is disabled."""


def _check_password(username: str, password: str) -> User:
    """Whose password it is; WrongPassword or TooManyAttempts. Commits the attempt first: argon2
    takes long, and no transaction may wait for it."""
    attempt = throttle.claim_attempt(username, request.remote_addr or "")
    user = services.find_user(username)
    user_id, password_hash = (user.id, user.password_hash) if user else (None, "")
    db.session.commit()
    is_correct = passwords.is_correct(password_hash, password)
    user = services.find_enabled_user(user_id) if is_correct else None
    if user is None:
        audit.record("fail.sign_in", f"user_account:{user_id or ''}")
        db.session.commit()
        raise WrongPassword(_("用户名或密码不正确。"))
    throttle.forgive(attempt)
    return user


def _set_password(form: NewPasswordForm, user: User) -> bool:
    try:
        services.set_password(user, form.new_password.data)
    except Refused as refusal:
        form.new_password.errors = [refusal.message]
        return False
    sessions.start_session(user)
    db.session.commit()
    return True
