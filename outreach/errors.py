"""What can be refused, and with which HTTP status. Messages are for the person who asked."""

from http import HTTPStatus
from typing import ClassVar


class OutreachError(Exception):
    """A refusal that a person can act on; `message` says why and what to do."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(OutreachError):
    status = HTTPStatus.NOT_FOUND


class Refused(OutreachError):
    """A rule of the campaign does not allow it."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class Conflict(OutreachError):
    """Somebody else changed the row since this person read it."""

    status = HTTPStatus.CONFLICT


class Forbidden(OutreachError):
    status = HTTPStatus.FORBIDDEN
