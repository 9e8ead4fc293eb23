"""The composition root: what is put together with what."""

import threading

from flask import Flask
from whitenoise import WhiteNoise

import config
from outreach import access, cli, db, logs, offline, web
from outreach.accounts import sessions
from outreach.accounts.views import bp as accounts
from outreach.campaigns import gate as campaigns_gate
from outreach.campaigns import import_views as register_imports
from outreach.campaigns import scope
from outreach.campaigns.effects import note_reminders
from outreach.campaigns.import_views import bp as campaigns
from outreach.digests.views import bp as digests
from outreach.documents.views import bp as documents
from outreach.feeds.views import bp as feeds
from outreach.gifts import gate as gifts_gate
from outreach.gifts import import_views as gifts_imports
from outreach.gifts.export_views import bp as gifts
from outreach.gifts.sector_moves import follow_units
from outreach.meetings.public_views import bp as invitations
from outreach.meetings.queries import list_engagements
from outreach.meetings.views import bp as meetings
from outreach.merging.views import bp as merging
from outreach.messages import caps, dead_addresses, provider_rules, robots, template_views
from outreach.messages import gate as messages_gate
from outreach.messages.channels import OpenChannel, aliyun, email, sms, tencent, wecom
from outreach.messages.gate import SendGate
from outreach.messages.models import Channel
from outreach.messages.return_paths import ReturnPaths
from outreach.messages.webhooks import bp as messages
from outreach.overview.export_views import bp as overview
from outreach.privacy.views import bp as privacy
from outreach.receipts.views import bp as receipts
from outreach.relay.public_views import bp as confirmations
from outreach.relay.views import bp as relay
from outreach.reminders import gate as reminders_gate
from outreach.reminders.queries import try_text
from outreach.reminders.rule_views import bp as reminders
from outreach.settings.staffing_views import bp as settings_pages
from outreach.todos import gate as todos_gate
from outreach.todos.services import note_new_address, note_reply
from outreach.todos.views import bp as todos
from outreach.units import gate as units_gate
from outreach.units.views import bp as units
from outreach.visits.week_views import bp as visits
from tasks import embedded, queue
from tasks.timetable import TIMETABLE

GATE = (
    gifts_gate.check_already_given,
    gifts_gate.check_partly_given,
    gifts_gate.check_unmatched_line,
    todos_gate.check_unread_reply,
    gifts_gate.check_pledge,
    gifts_gate.check_nothing_given,
    campaigns_gate.check_declined,
    campaigns_gate.check_exempt,
    campaigns_gate.check_snoozed,
    campaigns_gate.check_campaign,
    messages_gate.check_opt_out,
    messages_gate.check_address,
    dead_addresses.check_dead_address,
    units_gate.check_contact_left,
    reminders_gate.check_audience,
    provider_rules.check_provider_rules,
    # The caps come last: they count those whom everything before them let pass.
    caps.check_contact_cap,
    caps.check_unit_cap,
)
"""What a message is asked before it goes out; the first reason against it is the one shown."""

IMPORTS = (register_imports.PAGES, gifts_imports.PAGES)
"""What files can be taken in, each with its pages."""

BLUEPRINTS = (
    accounts,
    campaigns,
    confirmations,
    digests,
    documents,
    feeds,
    gifts,
    invitations,
    meetings,
    merging,
    messages,
    overview,
    privacy,
    receipts,
    relay,
    reminders,
    settings_pages,
    todos,
    units,
    visits,
)


def create_app(settings: config.Settings | None = None) -> Flask:
    """Builds the web application; ConfigurationError when the settings are not safe to run."""
    settings = settings or config.load()
    app = Flask(__name__)
    configure(app, settings)
    logs.install(app, level=settings.log_level, as_json=not settings.is_embedded)
    db.install(app)
    web.install(app)
    sessions.install(app)
    access.install(app)
    scope.install(app)
    app.extensions["outreach.imports"] = {pages.kind: pages for pages in IMPORTS}
    for blueprint in (offline.bp, *BLUEPRINTS):
        app.register_blueprint(blueprint)
    app.before_request(scope.load_campaign)
    cli.install(app)
    app.cli.add_command(embedded.serve)
    if not settings.is_embedded:
        app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
            app.wsgi_app, root=app.static_folder, prefix="static", max_age=300
        )
    return app


def configure(app: Flask, settings: config.Settings) -> None:
    """Gives the application its settings and what is made from them."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app.config.from_mapping(settings.flask_config())
    app.extensions["outreach.settings"] = settings
    install_sending(app, settings)
    install_tasks(app, settings)


def install_tasks(app: Flask, settings: config.Settings) -> None:
    """Decides who runs a task that is woken: threads of this process, or Celery's workers."""
    app.extensions["outreach.timetable"] = TIMETABLE
    app.extensions["outreach.stopping"] = threading.Event()
    queue.bind(app, settings.redis_url)
    if settings.is_embedded:
        worker = embedded.InProcessWorker(app, settings.worker_threads)
        app.extensions["outreach.worker"] = worker
        app.extensions["outreach.wake"] = worker.wake
    else:
        app.extensions["outreach.wake"] = queue.wake


def install_sending(app: Flask, settings: config.Settings) -> None:
    """Decides what a message has to pass, which way it leaves, and what its leaving changes, as
    do a reply, an address that can be written to again and a unit that goes to another sector."""
    app.extensions["outreach.gate"] = SendGate(GATE)
    app.extensions["outreach.return_paths"] = ReturnPaths(
        settings.mail_bounce_address, settings.secret_key
    )
    app.extensions["outreach.channels"] = open_channels(app, settings)
    if text_messages := make_sms_channel(settings):
        app.extensions["outreach.channels"][Channel.SMS] = text_messages.open
    app.extensions["outreach.sms_channel"] = text_messages
    app.extensions["outreach.on_sent"] = [note_reminders]
    app.extensions["outreach.on_new_address"] = [note_new_address]
    app.extensions["outreach.on_reply"] = [note_reply]
    app.extensions["outreach.on_move"] = [follow_units]
    app.extensions["outreach.engagements"] = list_engagements
    trial: template_views.TryText = try_text
    app.extensions["outreach.try_text"] = trial


def open_channels(app: Flask, settings: config.Settings) -> dict[Channel, OpenChannel]:
    channels: dict[Channel, OpenChannel] = {}
    if settings.mail_server:
        mail = email.Mail(
            email.Timeouts(settings.mail_timeout, settings.mail_final_timeout),
            return_path=app.extensions["outreach.return_paths"].of,
        )
        mail.init_app(app)
        channels[Channel.EMAIL] = mail.open
    else:
        channels[Channel.EMAIL] = email.LocalOutbox(
            settings.data_dir / "outbox", settings.mail_sender_name, settings.mail_sender
        ).open
    if settings.sms_provider == "simulator":
        channels[Channel.SMS] = sms.SmsSimulator(
            settings.data_dir / "sms-simulator.jsonl", settings.sms_signature
        ).open
    channels[Channel.WECOM] = wecom.GroupRobots(settings.wecom_endpoint, robots.read_keys).open
    return channels


def make_sms_channel(settings: config.Settings) -> sms.SmsChannel | None:
    """None when text messages are simulated, or not sent at all."""
    provider = make_sms_provider(settings)
    if provider is None:
        return None
    return sms.SmsChannel(
        provider, signature=settings.sms_signature, read_timeout=settings.sms_timeout
    )


def make_sms_provider(settings: config.Settings) -> sms.Provider | None:
    if settings.sms_provider == "aliyun":
        return aliyun.Aliyun(
            key_id=settings.sms_key_id,
            key_secret=settings.sms_key_secret,
            signature=settings.sms_signature,
            endpoint=settings.sms_endpoint,
        )
    if settings.sms_provider == "tencent":
        account = tencent.Account(
            secret_id=settings.sms_key_id,
            secret_key=settings.sms_key_secret,
            app_id=settings.sms_app_id,
            region=settings.sms_region,
        )
        return tencent.Tencent(
            account, signature=settings.sms_signature, endpoint=settings.sms_endpoint
        )
    return None
