"""The database: base class, column types, and what SQLite needs to be trusted with writes."""

import enum
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import sqlalchemy as sa
from flask import Flask, g, has_request_context, request
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, mapped_column, registry

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC instant; SQLite, which keeps no zone, gets UTC and gives UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant must carry its time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class IdList(sa.types.TypeDecorator[Sequence[int]]):
    """Many ids in one parameter: an array on PostgreSQL, JSON on SQLite."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        is_postgresql = dialect.name == "postgresql"
        kind = postgresql.ARRAY(sa.BigInteger) if is_postgresql else sa.Text()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Sequence[int] | None, dialect: sa.Dialect) -> Any:
        ids = list(value or ())
        return ids if dialect.name == "postgresql" else json.dumps(ids)


class unpacked(sa.sql.functions.FunctionElement[int]):  # noqa: N801
    """The ids in a parameter, as a table."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(unpacked, "postgresql")
def _unpacked_postgresql(element: unpacked, compiler: Any, **options: Any) -> str:
    return f"unnest({compiler.process(element.clauses, **options)})"


@compiles(unpacked, "sqlite")
def _unpacked_sqlite(element: unpacked, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


def among(column: Any, parameter: str) -> sa.ColumnElement[bool]:
    """The column is one of the ids in the parameter of that name. Unlike with `in_`, the statement
    is the same for any number of them and is put together once: what is asked for each window of
    messages must cost next to nothing."""
    ids = unpacked(sa.bindparam(parameter, type_=IdList()))
    value = ids.table_valued(sa.column("value", sa.BigInteger()), name="value")
    return column.in_(sa.select(value.c.value))


def one_of(column: Any, *terms: enum.StrEnum) -> sa.ColumnElement[bool]:
    """The column holds one of these terms. They are written out in the statement: a parameter
    costs something at each execution, and hides from the planner that an index of some of the rows
    will do."""
    return sa.or_(*(column == sa.literal_column(f"'{term.value}'") for term in terms))


class looked_up(sa.sql.functions.FunctionElement[str]):  # noqa: N801
    """`looked_up("texts", column)`: what the parameter, a JSON object, has under the column's
    value; NULL when it has nothing."""

    type = sa.Text()
    inherit_cache = True

    def __init__(self, parameter: str, column: Any) -> None:
        super().__init__(sa.bindparam(parameter, type_=sa.Text()), column)


@compiles(looked_up, "postgresql")
def _looked_up_postgresql(element: looked_up, compiler: Any, **options: Any) -> str:
    texts, column = (compiler.process(part, **options) for part in element.clauses)
    return f"CAST({texts} AS JSONB) ->> CAST({column} AS TEXT)"


@compiles(looked_up, "sqlite")
def _looked_up_sqlite(element: looked_up, compiler: Any, **options: Any) -> str:
    texts, column = (compiler.process(part, **options) for part in element.clauses)
    return f"""json_extract({texts}, '$."' || {column} || '"')"""


Fen = Annotated[int, mapped_column(sa.BigInteger)]
PrimaryKey = Annotated[int, mapped_column(primary_key=True)]


class Base(DeclarativeBase):
    registry = registry(
        metadata=sa.MetaData(
            naming_convention={
                "ix": "ix_%(column_0_N_label)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={
            datetime: UtcDateTime(),
            dict[str, Any]: sa.JSON(),
            list[Any]: sa.JSON(),
            enum.StrEnum: sa.Enum(
                enum.StrEnum,
                native_enum=False,
                length=24,
                values_callable=lambda members: [member.value for member in members],
            ),
        },
    )


db = SQLAlchemy(model_class=Base, disable_autonaming=True)
migrate = Migrate(directory=Path(__file__).parents[1] / "migrations", render_as_batch=True)


def install(app: Flask) -> None:
    db.init_app(app)
    migrate.init_app(app, db)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _prepare_sqlite)
            event.listen(db.engine, "begin", _begin_sqlite)


def table_of(model: type[Base]) -> sa.Table:
    return cast(sa.Table, model.__table__)


def run(
    statement: sa.Executable,
    parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
) -> Any:
    """Runs a statement on tables in the session's transaction, without the ORM's work around it.
    What the session has loaded is not brought up to date."""
    db.session.flush()
    return db.session.connection().execute(statement, parameters)


def insert_new(table: type[Base], rows: list[dict[str, Any]], key: list[str]) -> int:
    """Inserts the rows whose `key` is not there yet; returns how many were new.

    One statement on both databases, so that two processes that insert the same row at once
    both succeed and only one of them is told that it was the first.
    """
    return _insert(table, rows, key)


def insert_any_new(table: type[Base], rows: list[dict[str, Any]]) -> int:
    """Like `insert_new`, where more than one unique key may say that a row is there already."""
    return _insert(table, rows, None)


def _insert(table: type[Base], rows: list[dict[str, Any]], key: list[str] | None) -> int:
    if not rows:
        return 0
    dialect = sqlite if db.engine.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).on_conflict_do_nothing(index_elements=key)
    return len(db.session.execute(statement.returning(sa.literal(1)), rows).all())


def insert_many(
    table: type[Base], rows: Sequence[Mapping[str, Any]], *returning: Any
) -> Sequence[sa.Row[Any]]:
    """Inserts the rows, which have the same columns, and leaves out those that break a unique key;
    returns what is asked for of each that is new."""
    if not rows:
        return []
    to, names = table_of(table), list(rows[0])
    if db.engine.dialect.name == "sqlite":
        statement = sqlite.insert(to).on_conflict_do_nothing().returning(*returning)
        return run(statement, rows).all()
    # In one parameter: a thousand rows of thirty cost more to be read than to be inserted.
    source = (
        sa.func.json_to_recordset(sa.cast(sa.bindparam("rows", type_=sa.Text()), sa.JSON()))
        .table_valued(*(sa.column(name, to.c[name].type) for name in names))
        .render_derived(with_types=True)
    )
    statement = (
        postgresql.insert(to)
        .from_select(names, sa.select(*(source.c[name] for name in names)))
        .on_conflict_do_nothing()
        .returning(*returning)
    )
    inserted: list[sa.Row[Any]] = []
    for start in range(0, len(rows), _AT_ONCE):
        part = json.dumps(rows[start : start + _AT_ONCE], ensure_ascii=False, default=_iso_format)
        inserted += run(statement, {"rows": part}).all()
    return inserted


_AT_ONCE = 1000


def _iso_format(value: date) -> str:
    """A day or an instant."""
    return value.isoformat()


@contextmanager
def writing() -> Iterator[None]:
    """A transaction that writes, in a page that otherwise only reads: somebody was seen, or looked
    at a number. What was read so far is let go; commits. SQLite refuses to write in a transaction
    that has read when somebody else wrote in between, so this one takes the lock as it begins."""
    db.session.rollback()
    g.is_writing = True
    try:
        yield
        db.session.commit()
    finally:
        g.is_writing = False


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "busy_timeout=10000",
        "foreign_keys=ON",
        # A «sending» that is lost in a power cut would be sent a second time.
        "synchronous=FULL",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Writers take the lock when they begin: with a deferred BEGIN two of them can read the same
    row and one then fails in spite of the busy timeout. Pages that only read do not wait."""
    is_reading = (
        has_request_context() and request.method in SAFE_METHODS and not g.get("is_writing")
    )
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")
