"""Structured logs: JSON lines in production, readable lines in embedded mode.

Every line carries the id of the request that caused it, also in the task that the request woke.
Addresses, phone numbers and the values of SQL statements never reach a line. Paths do not either,
since some hold a token: a request is logged under the name of its endpoint.
"""

import logging
import re
import secrets
import sys
import time
from typing import Any

import structlog
from flask import Flask, Response, g, request
from structlog.contextvars import (
    bind_contextvars,
    clear_contextvars,
    get_contextvars,
    merge_contextvars,
)
from structlog.typing import EventDict, Processor, WrappedLogger

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

NOISY = (
    "apscheduler",
    "celery.app.trace",
    "celery.worker.strategy",
    "kombu",
    "urllib3",
    "waitress",
)
QUIET_ENDPOINTS = {"static", "web.healthz", "web.readyz"}
REQUEST_ID = "request_id"

_SAFE_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_E_MAIL = re.compile(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<!\d)(?:(?:\+|00)?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)")
_LANDLINE = re.compile(r"(?<!\d)0\d{2,3}[- ]\d{7,8}(?!\d)")
_SQL_VALUES = re.compile(r"\[parameters: .*\]")
_DATABASE_DETAIL = re.compile(r"(DETAIL: {1,2}).*")


def install(app: Flask, *, level: str, as_json: bool) -> None:
    configure(level=level, as_json=as_json)
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(lambda _error: clear_contextvars())


def configure(*, level: str, as_json: bool) -> None:
    """Sends the lines of every library through one handler, in place of the one before."""
    shared: list[Processor] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
        structlog.stdlib.ExtraAdder(),
    ]
    renderers: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        renderers += [
            structlog.processors.format_exc_info,
            mask_values,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        renderers += [
            structlog.processors.format_exc_info,
            mask_values,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=renderers)
    )
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def mask_values(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: _mask(value) for name, value in event.items()}


def current_request_id() -> str | None:
    return get_contextvars().get(REQUEST_ID)


def begin_task(name: str, request_id: str | None) -> None:
    """Names the task in the lines of this thread, and the request that woke it."""
    clear_contextvars()
    bind_contextvars(task=name, **({REQUEST_ID: request_id} if request_id else {}))


class _Handler(logging.StreamHandler[Any]):
    """Ours, so that a second application in the process replaces it and leaves others alone."""


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_began = time.perf_counter()
    clear_contextvars()
    bind_contextvars(request_id=given if _SAFE_ID.fullmatch(given) else secrets.token_hex(8))


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = current_request_id() or ""
    took = time.perf_counter() - g.get("request_began", time.perf_counter())
    tell = log.debug if request.endpoint in QUIET_ENDPOINTS else log.info
    tell(
        "request",
        method=request.method,
        endpoint=request.endpoint,
        status=response.status_code,
        ms=round(took * 1000),
    )
    return response


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mask(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mask(item) for item in value]
    if not isinstance(value, str):
        return value if isinstance(value, int | float | None) else _mask(str(value))
    for pattern, words in (
        (_SQL_VALUES, "[parameters hidden]"),
        (_DATABASE_DETAIL, r"\1hidden"),
        (_E_MAIL, "[e-mail]"),
        (_PHONE, "[phone]"),
        (_LANDLINE, "[phone]"),
    ):
        value = pattern.sub(words, value)
    return value
