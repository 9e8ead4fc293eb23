"""To-dos in words and signs."""

from typing import Final

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.todos.models import Todo, TodoKind
from outreach.web import format_day

_ICONS: Final[dict[TodoKind, str]] = {
    TodoKind.FIND_CONTACT: "search",
    TodoKind.CONFIRM: "users",
    TodoKind.REPLY: "message",
    TodoKind.CALL: "phone",
    TodoKind.LEADER: "user-check",
    TodoKind.PRESIDENT: "star",
}
_IN_VAIN: Final[dict[TodoKind, LazyString]] = {
    TodoKind.CALL: _("打电话没有答复"),
    TodoKind.LEADER: _("与分管领导沟通没有答复"),
}


def icon_of(kind: TodoKind) -> str:
    return _ICONS[kind]


def tell_in_vain(todo: Todo) -> str:
    """Why the step after this one is taken: «10-12 打电话没有答复»."""
    return f"{format_day(todo.settled_at)} {_IN_VAIN[todo.kind]}"
