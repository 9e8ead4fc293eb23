"""Every test that uses `app` runs on SQLite and on PostgreSQL, each time on an empty database.

That is cheap, and a query that only one of the two takes is found wherever it is made. Where it is
not cheap and no query differs, a test names the one that it runs on:
`@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)`.
"""

import gc
import os
import shlex
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from hypothesis import settings as hypothesis_settings
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import event
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

import config
from app import configure, create_app
from outreach import logs
from outreach.access import Role
from outreach.accounts.models import User
from outreach.db import db
from tests import factories
from tests.services import Postgres

TUESDAY_MORNING = "2026-10-20T10:00:00+08:00"
"""A working day inside office hours, in the middle of the campaign that the factories make."""


# `make chaos` asks for it; the state machine of the outbox reads it.
hypothesis_settings.register_profile("chaos")


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("OUTREACH_TEST_ROOT", tempfile.mkdtemp(prefix="outreach-tests-"))
    for name in [name for name in os.environ if name.startswith(("OUTREACH_", "DATABASE_URL"))]:
        if name != "OUTREACH_TEST_ROOT":
            del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What mostly waits goes first, so that the others fill the time."""
    items.sort(key=lambda item: item.get_closest_marker("processes") is None)
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


def pytest_collection_finish() -> None:
    """What is loaded by now stays, so it need not be looked through for garbage again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000)


TOGETHER = ("tests/test_browser.py", "tests/test_demo.py")
"""Files whose tests share what takes long to make; each is the work of one worker."""


class Scheduler(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in TOGETHER else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler:
    return Scheduler(config, log)


@pytest.fixture(autouse=True)
def tuesday_morning(request: pytest.FixtureRequest) -> Iterator[time_machine.Traveller | None]:
    if request.node.get_closest_marker("processes") or request.node.get_closest_marker("browser"):
        yield None  # other processes live in real time
        return
    with time_machine.travel(TUESDAY_MORNING) as traveller:
        yield traveller


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    return Postgres(Path(os.environ["OUTREACH_TEST_ROOT"]))


@pytest.fixture(scope="session")
def worker(request: pytest.FixtureRequest) -> str:
    return getattr(request.config, "workerinput", {}).get("workerid", "main")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    prepare(f"sqlite:///{path}", path.parent)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


@pytest.fixture(scope="session")
def postgres_database(
    postgres: Postgres, worker: str, tmp_path_factory: pytest.TempPathFactory
) -> str:
    name = f"test_{worker}"
    prepare(postgres.create(name), tmp_path_factory.mktemp("postgres"))
    return name


def prepare(url: str, directory: Path) -> None:
    """Brings an empty database to the newest schema."""
    app = create_app(make_settings(url, directory))
    with app.app_context():
        upgrade()
        db.session.remove()
        db.engine.dispose()


def make_settings(url: str, directory: Path, **overrides: object) -> config.Settings:
    return config.load(data_dir=directory, database_url=url, **overrides)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Of an empty database; it is the same one for every test of this worker."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        path = template.with_name("test.db")
        # Also the journals, and not over the old file, which somebody may still hold open.
        for old in path.parent.glob("test.db*"):
            old.unlink()
        shutil.copy(template, path)
        return f"sqlite:///{path}"
    server: Postgres = request.getfixturevalue("postgres")
    name = request.getfixturevalue("postgres_database")
    server.empty(name)
    return server.url(name)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of «localhost», with its key; nobody vouches for it."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        shlex.split(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
            " -addext subjectAltName=DNS:localhost"
            f" -keyout {path} -out {path.with_suffix('.crt')}"
        ),
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


class Client(FlaskClient):
    """Gives each request a context of its own, as in life: its own user, campaign and session.

    Without it all requests of a test would share the context that the fixture `app` holds open,
    and with it the first request's user. Rows that the test holds are read anew afterwards.
    """

    def open(self, *args, **options):
        db.session.rollback()
        with self.application.app_context():
            return super().open(*args, **options)


class KeptApp:
    """An application that serves every test of one database. To build one takes longer than most
    tests do, and the statements that its engine has compiled stay compiled. Config and extensions
    are renewed; a test that adds a page or a hook is marked `changes_app`."""

    def __init__(self, settings: config.Settings) -> None:
        self._app = create_app(settings)
        self._app.test_client_class = Client
        # Templates are compiled once for all workers.
        compiled = Path(os.environ["OUTREACH_TEST_ROOT"]) / "templates"
        compiled.mkdir(exist_ok=True)
        self._app.jinja_env.bytecode_cache = FileSystemBytecodeCache(str(compiled))
        self._config, self._extensions = dict(self._app.config), dict(self._app.extensions)
        with self._app.app_context():
            if db.engine.dialect.name == "sqlite":
                event.listen(db.engine, "connect", _hurry)

    def renew(self, settings: config.Settings) -> Flask:
        """Whatever the test before has put in its place is gone."""
        self._app.config.clear()
        self._app.config.update(self._config)
        self._app.extensions.clear()
        self._app.extensions.update(self._extensions)
        configure(self._app, settings)
        # An application that a test made for itself may have changed what the process logs.
        logs.configure(level=settings.log_level, as_json=False)
        return self._app


def _hurry(connection: sqlite3.Connection, _record: object) -> None:
    """A test need not survive a power cut; processes of their own keep the real setting."""
    connection.execute("PRAGMA synchronous=OFF")


@contextmanager
def noting_statements() -> Iterator[list[str]]:
    """The SQL that runs inside."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


@pytest.fixture(scope="session")
def kept_apps() -> dict[str, KeptApp]:
    """By the URL of their database."""
    return {}


@pytest.fixture
def app(
    request: pytest.FixtureRequest,
    database_url: str,
    tmp_path: Path,
    kept_apps: dict[str, KeptApp],
) -> Iterator[Flask]:
    """The application with a fresh database and an open context; tasks are noted, not run."""
    settings = make_settings(database_url, tmp_path)
    if database_url not in kept_apps or request.node.get_closest_marker("changes_app"):
        kept_apps[database_url] = KeptApp(settings)
    app = kept_apps[database_url].renew(settings)
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False)
    app.config["PASSWORD_COST"] = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}
    app.extensions["woken"] = []
    app.extensions["outreach.wake"] = app.extensions["woken"].append
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
    if request.node.get_closest_marker("changes_app"):
        del kept_apps[database_url]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


SignIn = Callable[..., FlaskClient]


@pytest.fixture
def sign_in(app: Flask) -> SignIn:
    """`sign_in(Role.STAFF)` or `sign_in(user)`: a client whose session is that person's."""

    def sign_in(who: Role | User = Role.STAFF) -> FlaskClient:
        user = factories.make_user(role=who) if isinstance(who, Role) else who
        client = app.test_client()
        token = factories.make_login(user)
        with client.session_transaction() as session:
            session["login"] = token
        return client

    return sign_in
