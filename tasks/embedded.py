"""Embedded mode: one process with the web server, the tasks and the clock."""

import logging
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import click
import sqlalchemy as sa
import waitress
from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask, current_app
from flask.cli import with_appcontext
from flask_migrate import upgrade

from outreach import logs
from outreach.accounts.models import User
from outreach.db import db
from outreach.demo.accounts import ACCOUNTS, PASSWORD
from outreach.demo.services import load_demo
from tasks.memory import keep_what_is_loaded
from tasks.queue import PREFIX, celery
from tasks.timetable import SCHEDULER_OPTIONS, schedule

log = logging.getLogger(__name__)

WEB_THREADS = 8


class InProcessWorker:
    """Runs tasks in threads of this process. Calls that arrive while the same task waits for its
    turn are one call."""

    def __init__(self, app: Flask, threads: int) -> None:
        self._app = app
        self._threads = threads
        # One thread more than deliveries may take, so that a long wave does not hold up the rest.
        self._pool = ThreadPoolExecutor(threads + 1, thread_name_prefix="task")
        self._lock = threading.Lock()
        self._waiting: dict[str, str | None] = {}
        """Task that was woken: id of the request that did it."""
        self._running: Counter[str] = Counter()

    def wake(self, task: str) -> None:
        with self._lock:
            if task in self._waiting or self._is_stopping:
                return
            self._waiting[task] = logs.current_request_id()
            if self._running[task] < self._threads:
                self._pool.submit(self._run, task)

    def stop(self) -> None:
        """Waits for what is running; what waits is found again after the next start."""
        self._app.extensions["outreach.stopping"].set()
        self._pool.shutdown(cancel_futures=True)

    @property
    def _is_stopping(self) -> bool:
        return self._app.extensions["outreach.stopping"].is_set()

    def _run(self, task: str) -> None:
        with self._lock:
            if task not in self._waiting:
                return
            request_id = self._waiting.pop(task)
            self._running[task] += 1
        logs.begin_task(task, request_id)
        try:
            with self._app.app_context():
                celery.loader.import_default_modules()
                celery.tasks[f"{PREFIX}{task}"]()
        except Exception:
            # The thread ends here: nobody else would hear of it.
            log.exception("task %s failed", task)
        finally:
            with self._lock:
                self._running[task] -= 1
                if task in self._waiting and not self._is_stopping:
                    self._pool.submit(self._run, task)


@click.command("serve", help="Run the web site, the tasks and the clock in one process.")
@click.option("--demo", is_flag=True, help="Load the demonstration into an empty database first.")
@with_appcontext
def serve(demo: bool) -> None:
    settings = current_app.extensions["outreach.settings"]
    if not settings.is_embedded:
        raise click.ClickException(
            "flask serve 只用于单机模式。正式环境请用 docker compose 启动，见 docs/production.md。"
        )
    upgrade()
    if demo:
        load_demo()
        db.session.commit()
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    try:
        server = waitress.create_server(
            app, host=settings.host, port=settings.port, threads=WEB_THREADS, ident=None
        )
    except OSError as error:
        raise click.ClickException(
            f"无法监听 {settings.host}:{settings.port}({error.strerror})。"
            "请关闭占用该端口的程序，或用 OUTREACH_PORT 换一个端口。"
        ) from None
    scheduler = BackgroundScheduler(**SCHEDULER_OPTIONS)
    worker: InProcessWorker = app.extensions["outreach.worker"]
    schedule(scheduler, worker.wake)
    scheduler.start()
    signal.signal(signal.SIGTERM, _stop)
    keep_what_is_loaded()
    _greet(f"http://{settings.host}:{settings.port}")
    server.run()  # until Ctrl-C or SIGTERM, which waitress takes for the end of its work
    click.echo("正在停止……")
    scheduler.shutdown(wait=False)
    worker.stop()


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit


def _greet(address: str) -> None:
    click.echo(f"\n慈善一日捐劝募系统已启动：{address}\n")
    usernames = [username for username, _role, _name in ACCOUNTS]
    present = set(
        db.session.scalars(
            sa.select(User.username).where(User.username.in_(usernames), User.is_enabled)
        )
    )
    db.session.remove()  # an open transaction would keep every writer out
    if present:
        click.echo(f"演示账号（密码均为 {PASSWORD}）：")
        for username, role, name in ACCOUNTS:
            if username in present:
                click.echo(f"  {username:<12}{name}（{role.label}）")
        click.echo()
    click.echo("按 Ctrl-C 停止。")
