"""Runs migrations against the application's database, on SQLite and on PostgreSQL."""

from alembic import context
from flask import current_app

from outreach.db import UtcDateTime, db


def render_item(kind, item, _autogen_context):
    """Migrations name SQLAlchemy's types only, so that they outlive changes of ours."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def include_object(_item, name, kind, _is_reflected, _other):
    """Indexes of PostgreSQL alone, which the models do not know: see `outreach.units.search`."""
    return not (kind == "index" and name.startswith("ix_search_"))


with db.engine.connect() as connection:
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        # A table that is changed is made anew and the old one dropped, with all that refers to it.
        # Only outside a transaction, so not by way of SQLAlchemy, which begins one.
        connection.connection.execute("PRAGMA foreign_keys=OFF")
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_item=render_item,
        include_object=include_object,
        **current_app.extensions["migrate"].configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()
        if is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise RuntimeError("the migration would leave rows that refer to nothing")
    connection.commit()
    if is_sqlite:
        connection.connection.execute("PRAGMA foreign_keys=ON")
