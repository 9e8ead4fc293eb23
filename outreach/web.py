"""What every page shares: security headers, errors, filters, language, health."""

import json
import logging
import re
import tomllib
from collections.abc import Callable
from datetime import date, datetime
from http import HTTPStatus
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    has_request_context,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import Babel, get_locale
from flask_babel import lazy_gettext as _
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter, Map
from werkzeug.wrappers import Response as BaseResponse

from outreach import access, clock, money
from outreach.db import SAFE_METHODS, db
from outreach.errors import OutreachError

log = logging.getLogger(__name__)
bp = Blueprint("web", __name__)
babel = Babel()
csrf = CSRFProtect()

LARGEST_ID = 2**31 - 1
LANGUAGES = {"zh_Hans_CN": "中文", "en": "English"}
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
MOST_PAGES = 100_000
ReadyCheck = Callable[[], object]
"""Raises when something that the service needs cannot be reached."""


class RowId(IntegerConverter):
    """A number in an address that can be the id of a row; a larger one is not found."""

    def __init__(self, url_map: Map, *args: Any, **options: Any) -> None:
        super().__init__(url_map, *args, **{"max": LARGEST_ID} | options)


def install(app: Flask) -> None:
    babel.init_app(app, locale_selector=_choose_locale)
    csrf.init_app(app)
    _believe_proxies(app)
    app.register_blueprint(bp)
    app.after_request(_set_headers)
    app.url_map.converters["int"] = RowId
    app.register_error_handler(OutreachError, _show_refusal)
    app.register_error_handler(HTTPException, _show_http_error)
    app.register_error_handler(Exception, _show_failure)
    app.teardown_request(_roll_back)
    app.jinja_env.filters.update(
        yuan=money.format_yuan,
        wan=money.format_wan_yuan,
        local=clock.local,
        day=format_day,
        moment=format_moment,
        percent=format_percent,
        masked=mask,
    )
    app.jinja_env.policies["json.dumps_function"] = _dumps
    app.context_processor(
        lambda: {
            "may": access.may,
            "languages": LANGUAGES,
            "language_code": language_code,
            "today": clock.today(),
            "now": clock.now(),
        }
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _believe_proxies(app: Flask) -> None:
    """Without it every request would come from the proxy: one address for throttle and audit."""
    if count := app.extensions["outreach.settings"].proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count
        )


def page_number() -> int:
    """The page of a list that the address asks for; nonsense asks for the first."""
    page = request.args.get("page", 1, type=int)
    return page if 1 <= page <= MOST_PAGES else 1


def is_htmx() -> bool:
    return "HX-Request" in request.headers and "HX-Boosted" not in request.headers


def wants_json() -> bool:
    return request.accept_mimetypes.best == "application/json"


def tell_next(answer: BaseResponse) -> ResponseReturnValue:
    """A script that sends what waited on a phone is told where the person goes next."""
    return {"next": answer.location} if wants_json() else answer


def format_day(day: date | datetime | None, with_year: bool = False) -> str:
    """«10-12», or «2026-10-12»; empty for None."""
    if day is None:
        return ""
    if isinstance(day, datetime):
        day = clock.day_of(day)
    return day.isoformat() if with_year else f"{day:%m-%d}"


def format_moment(instant: datetime | None) -> str:
    """«10-12 14:30» on the wall clock of Asia/Shanghai; empty for None."""
    return f"{clock.local(instant):%m-%d %H:%M}" if instant else ""


def format_percent(share: float | None, places: int = 1) -> str:
    """«68.2%» from 0.682; a dash when there is nothing to divide by."""
    return "—" if share is None else f"{share:.{places}%}"


def mask(address: str) -> str:
    """«138****1234» or «w***@example.org»: enough to recognise, too little to use. A group is
    recognised by its name, which stands beside."""
    if address.startswith("robot:"):
        return str(_("群机器人"))
    if "@" in address:
        name, _at, domain = address.partition("@")
        return f"{name[:1]}***@{domain}"
    digits = address.removeprefix("+86")
    return f"{digits[:3]}****{digits[-4:]}" if len(digits) >= 8 else "****" if digits else ""


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    return {"status": "ok"}


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    failing = {}
    for name, check in ready_checks().items():
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is «not ready»
            log.warning("not ready: %s: %s", name, error)
            failing[name] = type(error).__name__
    status = HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK
    return {"status": "failing" if failing else "ok", "failing": failing}, status


@bp.get("/version")
def version() -> ResponseReturnValue:
    return {"version": read_version(), "flask": metadata.version("flask")}


@bp.post("/language")
def language() -> ResponseReturnValue:
    if request.form.get("language") in LANGUAGES:
        session["language"] = request.form["language"]
    return redirect(local_path(request.form.get("next", "")))


def ready_checks() -> dict[str, ReadyCheck]:
    checks: dict[str, ReadyCheck] = {"database": lambda: db.session.execute(sa.text("SELECT 1"))}
    return checks | current_app.extensions.get("outreach.ready_checks", {})


def read_version() -> str:
    project = tomllib.loads(Path(__file__).parent.with_name("pyproject.toml").read_text())
    return str(project["project"]["version"])


def local_path(target: str) -> str:
    """`target` when it is a path of this site, else the home page: no open redirects."""
    # Browsers drop tabs and line breaks, and read a backslash as a slash.
    is_plain = not any(character <= " " or character == "\\" for character in target)
    return target if is_plain and re.match("/(?!/)", target) else "/"


def external_url(endpoint: str, **values: Any) -> str:
    """The page's address as it is written into messages: below PUBLIC_BASE_URL, never below the
    host that a request named. Works outside requests too."""
    base = urlsplit(current_app.extensions["outreach.settings"].public_base_url)
    urls = current_app.url_map.bind(base.netloc, base.path or "/", url_scheme=base.scheme)
    return urls.build(endpoint, values, force_external=True)


def _choose_locale() -> str:
    return session.get("language", "zh_Hans_CN") if has_request_context() else "zh_Hans_CN"


def _dumps(value: object, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str, **options)


def _set_headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
    if current_app.config["SESSION_COOKIE_SECURE"]:
        response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _show_refusal(error: OutreachError) -> ResponseReturnValue:
    return _answer(error.status, str(error.message))


def _show_http_error(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.response
    if error.code == HTTPStatus.UNAUTHORIZED and not wants_json():
        return _ask_to_sign_in()
    if isinstance(error, CSRFError):
        return _answer(HTTPStatus.BAD_REQUEST, str(EXPIRED_PAGE))
    return _answer(
        HTTPStatus(error.code or 500), str(MESSAGES.get(error.code or 500, error.description))
    )


def _show_failure(error: Exception) -> ResponseReturnValue:
    log.exception("request failed", exc_info=error)
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, str(MESSAGES[500]))


MESSAGES = {
    400: _("请求无法识别。请返回上一页后重试。"),
    401: _("请先登录。"),
    403: _("您的账号没有这项权限。如确需使用，请联系管理员。"),
    404: _("没有找到这个页面，可能已被删除，或不在您负责的板块内。"),
    405: _("请求方式不对。请返回上一页后重试。"),
    413: _("文件太大。请上传不超过 16 MB 的文件，照片每张不超过 10 MB。"),
    429: _("操作过于频繁。请稍后再试。"),
    500: _("系统出错了，您的操作没有保存。我们已记录此问题，请稍后重试。"),
}


EXPIRED_PAGE = _("这个页面打开太久，已经过期，您的操作没有保存。请刷新页面后重试。")


def _ask_to_sign_in() -> ResponseReturnValue:
    """Leads back to the page afterwards; what was posted is not repeated by itself."""
    if is_htmx():
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
        target = page._replace(scheme="", netloc="").geturl()
        login = url_for("accounts.login", next=local_path(target))
        return "", HTTPStatus.UNAUTHORIZED, {"HX-Redirect": login}
    here = request.full_path.rstrip("?") if request.method in SAFE_METHODS else None
    return redirect(url_for("accounts.login", next=here))


def _answer(status: HTTPStatus, message: str) -> ResponseReturnValue:
    _roll_back()
    if wants_json():
        return jsonify(error={"status": status.value, "message": message}), status
    if status == HTTPStatus.BAD_REQUEST and request.url_rule is None:
        return Response(message, status, mimetype="text/plain")  # a host that is not ours: no links
    if is_htmx():
        headers = {"HX-Retarget": "#notices", "HX-Reswap": "innerHTML"}
        return render_template("_notice.html", message=message, kind="danger"), status, headers
    return render_template("error.html", status=status.value, message=message), status


def _roll_back(_error: BaseException | None = None) -> None:
    db.session.rollback()


def language_code() -> str:
    """What belongs into the page's `lang` attribute."""
    return "en" if str(get_locale()).startswith("en") else "zh-CN"
