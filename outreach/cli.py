"""Commands for operators. Exit codes: 0 done, 1 refused or a check failed, 2 wrong usage."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup
from sqlalchemy.exc import OperationalError, ProgrammingError

from outreach import clock
from outreach.access import Role
from outreach.accounts import services as accounts
from outreach.accounts.services import Profile
from outreach.campaigns.importing import apply_register, plan_register
from outreach.campaigns.models import Campaign
from outreach.campaigns.queries import get_campaign
from outreach.db import db
from outreach.demo.services import load_demo
from outreach.documents.basic_facts import write_basic_facts
from outreach.errors import NotFound, OutreachError, Refused
from outreach.gifts.importing import apply_gifts, plan_gifts
from outreach.gifts.ledger import check_ledger
from outreach.gifts.reconciliation import compare_stated
from outreach.gifts.rendering import ledger_json, print_ledger, print_sectors, sectors_json
from outreach.gifts.statements import apply_statement, plan_statement
from outreach.messages.queries import sending_state
from outreach.messages.services import switch_sending
from outreach.spreadsheets.reading import SourceFile
from outreach.units.importing import Plan
from outreach.units.rendering import plan_json, print_plan
from outreach.web import external_url


class Commands(AppGroup):
    """Says in a line what an operator can do about a database that does not answer."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (OperationalError, ProgrammingError) as error:
            if re.search(r"no such (table|column)|does not exist", str(error.orig)):
                raise click.ClickException("数据库的表不全。请先运行 flask db upgrade。") from error
            raise click.ClickException(f"数据库没有应答：{error.orig}") from error


demo = Commands("demo", help="Demonstration data.")
units = Commands("units", help="The register of units.")
gifts = Commands("gifts", help="Money received.")
statements = Commands("statements", help="Statements of banks and payment platforms.")
sectors = Commands("sectors", help="Sectors and their figures.")
ledger = Commands("ledger", help="Whether the money adds up.")
sending = Commands("sending", help="The switch of all sending.")
users = Commands("users", help="People who sign in.")


def install(app: Flask) -> None:
    for group in (demo, units, gifts, statements, sectors, ledger, sending, users):
        app.cli.add_command(group)


@users.command("create-admin")
@click.argument("username")
@click.argument("name")
def create_administrator(username: str, name: str) -> None:
    """Creates an administrator and prints the link with which they choose a password."""
    try:
        user = accounts.create_user(username, Profile(name=name, role=Role.ADMINISTRATOR))
    except Refused as refusal:
        raise click.ClickException(str(refusal.message)) from None
    link = external_url("accounts.accept_invitation", token=accounts.invite(user))
    db.session.commit()
    click.echo(link)


@demo.command("load")
def load_demonstration() -> None:
    """The reported campaign of 2023, 2022 before it, and one that is running now."""
    if not load_demo():
        click.echo("演示数据已经装入，没有改动。")
        return
    db.session.commit()
    click.echo("演示数据已装入。")


@sending.command("status")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def show_sending(*, is_json: bool) -> None:
    """Whether messages go out now; exits with 1 when they do not."""
    state = sending_state(clock.now())
    if is_json:
        facts = {"is_on": state.is_on, "is_open": state.is_open, "reason": str(state.reason)}
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        click.echo(str(state.reason) or "正在发送。")
    if not (state.is_on and state.is_open):
        raise SystemExit(1)


@sending.command("off")
def stop_sending() -> None:
    """Stops all sending at once; needs the database only, neither the web nor the broker."""
    switch_sending(is_on=False)
    db.session.commit()
    click.echo("发送已关闭。")


@sending.command("on")
def allow_sending() -> None:
    """Turns sending on again. After a restore every open message is left to a person."""
    switch_sending(is_on=True)
    db.session.commit()
    click.echo("发送已打开。")


@sectors.command("report")
@click.option("--campaign", "code", required=True, help="The campaign's code, such as 2023.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON, amounts in fen.")
def report_sectors(code: str, *, is_json: bool) -> None:
    """What each sector raised, this year and last."""
    campaign = find_campaign(code)
    if is_json:
        click.echo(sectors_json(campaign))
    else:
        print_sectors(campaign)


@ledger.command("check")
@click.option("--campaign", "code", required=True, help="The campaign's code, such as 2023.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON, amounts in fen.")
def check_books(code: str, *, is_json: bool) -> None:
    """Whether everything adds up: each identity with both sides; exits with 1 when one fails."""
    campaign = find_campaign(code)
    identities, stated = check_ledger(campaign), compare_stated(campaign)
    if is_json:
        click.echo(ledger_json(identities, stated))
    else:
        print_ledger(identities, stated)
    if not all(identity.holds for identity in identities):
        raise SystemExit(1)


@ledger.command("report")
@click.option("--campaign", "code", required=True, help="The campaign's code, such as 2023.")
def report_basic_facts(code: str) -> None:
    """基本情况, the first section of the yearly report; contradictions go to stderr."""
    facts = write_basic_facts(find_campaign(code))
    click.echo(facts.text, nl=False)
    for contradiction in facts.contradictions:
        click.echo(contradiction.sentence, err=True)


def find_campaign(code: str) -> Campaign:
    try:
        return get_campaign(code)
    except NotFound as refusal:
        raise click.ClickException(str(refusal.message)) from None


def import_options(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments that taking in a file has, whatever the file holds."""
    path = click.Path(exists=True, dir_okay=False, path_type=Path)
    for decorate in (
        click.option("--json", "is_json", is_flag=True, help="Print JSON, amounts in fen."),
        click.option("--dry-run", "is_dry_run", is_flag=True, help="Show what would be done."),
        click.option("--campaign", "code", required=True, help="The campaign's code."),
        click.argument("path", metavar="FILE", type=path),
    ):
        command = decorate(command)
    return command


@units.command("import")
@import_options
def import_register(path: Path, code: str, *, is_dry_run: bool, is_json: bool) -> None:
    """Takes in a register of units (.xlsx or .csv), wholly or not at all."""
    take_in(plan_register if is_dry_run else apply_register, path, code, is_dry_run, is_json)


@gifts.command("import")
@import_options
def import_gifts(path: Path, code: str, *, is_dry_run: bool, is_json: bool) -> None:
    """Takes in a list of gifts (.xlsx or .csv), wholly or not at all."""
    take_in(plan_gifts if is_dry_run else apply_gifts, path, code, is_dry_run, is_json)


@statements.command("import")
@import_options
def import_statement(path: Path, code: str, *, is_dry_run: bool, is_json: bool) -> None:
    """Keeps each payment of a statement (.xlsx or .csv) as a line that somebody confirms."""
    take_in(plan_statement if is_dry_run else apply_statement, path, code, is_dry_run, is_json)


def take_in(
    work: Callable[[Campaign, SourceFile], Plan],
    path: Path,
    code: str,
    is_dry_run: bool,
    is_json: bool,
) -> None:
    """Runs the import, prints what came of it, and exits with 1 when it was refused."""
    try:
        plan = work(get_campaign(code), SourceFile(path.name, path.read_bytes()))
    except OutreachError as refusal:
        db.session.rollback()
        if is_json:
            problem = {"message": str(refusal.message)}
            click.echo(json.dumps({"status": "refused", "problems": [problem]}, ensure_ascii=False))
            raise SystemExit(1) from None
        raise click.ClickException(str(refusal.message)) from None
    if is_json:
        click.echo(plan_json(plan, is_dry_run=is_dry_run))
    else:
        print_plan(plan, is_dry_run=is_dry_run)
    if is_dry_run or plan.is_refused:
        db.session.rollback()
    else:
        db.session.commit()
    if plan.is_refused:
        raise SystemExit(1)
