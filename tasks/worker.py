"""What Celery loads: `celery -A tasks.worker worker -P threads -c 2`."""

from app import create_app
from tasks.queue import celery

__all__ = ["celery"]

create_app()
