"""Runs migrations against the application's database, on SQLite and on PostgreSQL."""

from alembic import context
from flask import current_app

from outreach.db import UtcDateTime, db


def render_item(kind, item, _autogen_context):
    """Migrations name SQLAlchemy's types only, so that they outlive changes of ours."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


with db.engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_item=render_item,
        **current_app.extensions["migrate"].configure_args,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
