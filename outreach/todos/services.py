"""What is proposed to people, and what they made of it."""

from datetime import date

from outreach import clock
from outreach.db import insert_any_new
from outreach.todos.models import Todo, TodoKind, TodoStatus


def propose(  # noqa: PLR0913
    solicitation_id: int,
    kind: TodoKind,
    *,
    reason: str,
    due_on: date,
    key: str,
    contact_id: int | None = None,
    owner_id: int | None = None,
) -> bool:
    """Puts a to-do on its owner's list; False when that `key` was proposed before, or the unit
    waits for the same thing already."""
    row = {
        "solicitation_id": solicitation_id,
        "contact_id": contact_id,
        "kind": kind,
        "status": TodoStatus.OPEN,
        "owner_id": owner_id,
        "due_on": due_on,
        "reason": reason[:200],
        "proposal_key": key,
        "created_at": clock.now(),
        "version": 1,
    }
    return bool(insert_any_new(Todo, [row]))
