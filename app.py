"""The composition root: what is put together with what."""

import threading

from flask import Flask

import config
from outreach import access, cli, db, web
from outreach.accounts import sessions
from outreach.accounts.views import bp as accounts
from outreach.campaigns import scope
from outreach.campaigns.views import bp as campaigns
from outreach.digests.views import bp as digests
from outreach.gifts.views import bp as gifts
from outreach.meetings.views import bp as meetings
from outreach.messages.views import bp as messages
from outreach.overview.views import bp as overview
from outreach.reminders.views import bp as reminders
from outreach.settings.views import bp as settings_pages
from outreach.units.views import bp as units
from outreach.visits.views import bp as visits
from tasks import embedded, queue
from tasks.timetable import TIMETABLE

BLUEPRINTS = (
    accounts,
    campaigns,
    digests,
    gifts,
    meetings,
    messages,
    overview,
    reminders,
    settings_pages,
    units,
    visits,
)


def create_app(settings: config.Settings | None = None) -> Flask:
    """Builds the web application; ConfigurationError when the settings are not safe to run."""
    settings = settings or config.load()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app = Flask(__name__)
    app.config.from_mapping(settings.flask_config())
    app.extensions["outreach.settings"] = settings
    db.install(app)
    web.install(app)
    sessions.install(app)
    access.install(app)
    scope.install(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.before_request(scope.load_campaign)
    cli.install(app)
    install_tasks(app, settings)
    return app


def install_tasks(app: Flask, settings: config.Settings) -> None:
    """Decides who runs a task that is woken: threads of this process, or Celery's workers."""
    app.extensions["outreach.timetable"] = TIMETABLE
    app.extensions["outreach.stopping"] = threading.Event()
    app.cli.add_command(embedded.serve)
    queue.bind(app, settings.redis_url)
    if settings.is_embedded:
        worker = embedded.InProcessWorker(app, settings.worker_threads)
        app.extensions["outreach.worker"] = worker
        app.extensions["outreach.wake"] = worker.wake
    else:
        app.extensions["outreach.wake"] = queue.wake
