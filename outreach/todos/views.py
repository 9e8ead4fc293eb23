"""待办: the list, and the page of one to-do where it is settled, dropped or handed over."""

import uuid
from collections.abc import Callable
from http import HTTPStatus

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach.access import OFFICE
from outreach.accounts.queries import list_office
from outreach.campaigns.scope import campaign_blueprint
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.forms import Form, check_version
from outreach.todos import queries, rendering, services
from outreach.todos.forms import DropForm, HandOverForm, SettleForm
from outreach.todos.models import VISIT, Step, Todo, TodoKind, TodoOutcome
from outreach.todos.queries import TodoView
from outreach.web import local_path, page_number, tell_next

bp = campaign_blueprint("todos", __name__)
bp.add_app_template_global(rendering.icon_of, "todo_icon")
PER_PAGE = 50


@bp.get("/todos")
def list_todos() -> ResponseReturnValue:
    usual = TodoView.MINE if current_user.role in OFFICE else TodoView.ALL
    view = next((v for v in TodoView if v.value == request.args.get("view")), usual)
    kind = next((k for k in TodoKind if k.value == request.args.get("kind")), None)
    wanted = queries.select_todos(g.campaign, current_user, view, kind)
    found = db.paginate(wanted, page=page_number(), per_page=PER_PAGE, error_out=False)
    return render_template(
        "todos/list.html",
        found=found,
        view=view,
        views=TodoView,
        kind=kind,
        kinds=TodoKind,
        page_url=lambda number: url_for(
            ".list_todos", view=view.value, kind=kind and kind.value, page=number
        ),
    )


@bp.get("/todos/<int:todo_id>")
def todo(todo_id: int) -> ResponseReturnValue:
    return _show(queries.get_todo(g.campaign, todo_id, current_user))


@bp.post("/todos/<int:todo_id>/settle")
def settle(todo_id: int) -> ResponseReturnValue:
    todo = queries.get_todo(g.campaign, todo_id, current_user)
    form = SettleForm()

    def change() -> None:
        following = services.settle(
            todo,
            outcome=form.outcome.data,
            by=current_user,
            note=form.note.data or "",
            client_key=form.client_key.data or None,
        )
        flash(_tell_what_follows(todo, following), "success")

    answered = form.outcome.data is TodoOutcome.SETTLED
    here = url_for(".todo", todo_id=todo_id, next=request.args.get("next"))
    then = here if answered else None
    if services.was_settled(todo, form.client_key.data):
        return _go_on(then)
    return _change(todo, form, change, then)


@bp.post("/todos/<int:todo_id>/drop")
def drop(todo_id: int) -> ResponseReturnValue:
    todo = queries.get_todo(g.campaign, todo_id, current_user)
    form = DropForm()

    def change() -> None:
        services.drop(todo, reason=form.reason.data, by=current_user)
        flash(_("已记为不必办。"), "success")

    return _change(todo, form, change)


@bp.post("/todos/<int:todo_id>/hand-over")
def hand_over(todo_id: int) -> ResponseReturnValue:
    todo = queries.get_todo(g.campaign, todo_id, current_user)
    form = HandOverForm()
    owners = form.offer(list_office())

    def change() -> None:
        owner = owners[form.owner_id.data]
        services.hand_over(todo, to=owner, due_on=form.due_on.data)
        flash(_("已交%(name)s办理。", name=owner.name), "success")

    return _change(todo, form, change)


def _change(
    todo: Todo, form: Form, change: Callable[[], None], then: str | None = None
) -> ResponseReturnValue:
    """What is refused is said above the page, which keeps what was typed."""
    if not form.validate():
        return _show(todo, form), HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        services.lock_open_todo(todo)
        check_version(todo.version)
        change()
    except (Conflict, Refused) as refusal:
        db.session.rollback()
        return _show(todo, form, refusal.message), refusal.status
    db.session.commit()
    return _go_on(then)


def _go_on(then: str | None) -> ResponseReturnValue:
    target = then or local_path(request.args.get("next") or url_for("visits.my_day"))
    return tell_next(redirect(target))


def _show(todo: Todo, sent: Form | None = None, message: str = "") -> str:
    hand_over = HandOverForm(
        formdata=None, owner_id=todo.owner_id or current_user.id, due_on=todo.due_on
    )
    hand_over.offer(list_office())
    forms: dict[type[Form], Form] = {
        SettleForm: SettleForm(formdata=None, client_key=str(uuid.uuid4())),
        DropForm: DropForm(formdata=None),
        HandOverForm: hand_over,
    }
    if sent is not None:
        forms[type(sent)] = sent
    return render_template(
        "todos/todo.html",
        todo=todo,
        card=queries.list_cards([todo], current_user)[0],
        settle_form=forms[SettleForm],
        drop_form=forms[DropForm],
        hand_over_form=forms[HandOverForm],
        message=message,
    )


def _tell_what_follows(todo: Todo, following: Step | None) -> LazyString:
    if todo.outcome is TodoOutcome.SETTLED:
        unit = todo.solicitation.unit
        return _("%(unit)s：已登记。请接着记下谈的结果。", unit=unit.short_name or unit.name)
    if following == VISIT:
        return _("已登记：没有答复。系统将在明早建议上门走访。")
    if isinstance(following, TodoKind):
        return _("已登记：没有答复。下一步已列入待办：%(step)s。", step=following.label)
    return _("已登记：没有答复。")
