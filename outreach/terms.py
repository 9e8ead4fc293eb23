"""Closed vocabularies: each value with the words that people read for it."""

import enum
from typing import Self

from flask_babel import LazyString


class Term(enum.StrEnum):
    """An enum whose members are written `NAME = "value", _("label")`."""

    label: LazyString

    def __new__(cls, value: str, label: LazyString) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    @classmethod
    def choices(cls) -> list[tuple[str, LazyString]]:
        """Value and label of each member."""
        return [(member.value, member.label) for member in cls]
