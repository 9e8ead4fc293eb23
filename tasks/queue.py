"""The Celery application. A task message is only a wake-up call: losing all of them costs time,
never work, because every task reads what there is to do from the database."""

import logging
from typing import Any

from celery import Celery, Task
from flask import Flask
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


class ContextTask(Task):
    """Runs inside the Flask application that `bind` was given."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self.app.flask_app.app_context():
            return self.run(*args, **kwargs)


celery = Celery("outreach", task_cls=ContextTask)
celery.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_soft_shutdown_timeout=10,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": 300,
        "unacked_restore_interval": 10,
        "socket_keepalive": True,
        "health_check_interval": 30,
    },
    enable_utc=True,
)


def bind(app: Flask, broker_url: str) -> None:
    celery.flask_app = app
    celery.conf.broker_url = broker_url


def wake(task: str) -> None:
    """Sends the wake-up call. With the broker down it is lost, which the clock makes up for."""
    try:
        celery.send_task(f"outreach.{task}", retry=False)
    except OperationalError as error:
        log.warning("wake-up call %s lost: %s", task, error)
