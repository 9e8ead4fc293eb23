"""What Celery loads: `celery -A tasks.worker worker -P threads -c 2`."""

from celery.signals import worker_ready, worker_shutting_down

from app import create_app
from tasks.memory import keep_what_is_loaded
from tasks.queue import celery

__all__ = ["celery"]

_flask_app = create_app()


@worker_ready.connect
def be_quick(**_facts: object) -> None:
    keep_what_is_loaded()


@worker_shutting_down.connect
def stop_delivering(**_facts: object) -> None:
    """A delivery ends after the messages that it has in hand; the rest waits for another worker."""
    _flask_app.extensions["outreach.stopping"].set()
