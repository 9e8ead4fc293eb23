"""Pages of to-dos."""

from flask import Blueprint

from outreach.todos import models  # noqa: F401

bp = Blueprint("todos", __name__, url_prefix="/c/<campaign_code>/todos")
