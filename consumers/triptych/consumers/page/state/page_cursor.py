"""How far a client has seen the changes: a place in each log. Pure values.

A client that comes back with its cursor, also after the server was restarted, gets what it has not seen, once. That
works since what the page shows is computed from logs, and a place in a log means the same for every server.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from triptych.schemas.errors import UsageError

_PREFIX: Final = "page."
_MAX_LENGTH: Final = 16_384
_MAX_OFFSET: Final = 2**63 - 1


class Place(NamedTuple):
    """A place in a log: the record's offset, and the number of the change that the record caused."""

    offset: int
    step: int

    @property
    def before(self) -> Place:
        """The place of whoever has seen everything before this change, and not this one."""
        return Place(self.offset, self.step - 1)

    @property
    def next_offset(self) -> int:
        """The offset of the first record of which somebody at this place has not seen everything."""
        return self.offset + (self.step >= LAST_STEP)


LAST_STEP: Final = 1_000_000
"""The step of the last change that a record causes, behind all others."""
BEGINNING: Final = Place(-1, -1)


@dataclass(frozen=True, slots=True)
class PageCursor:
    """What a client has seen.

    Attributes:
        epoch: which logs the places belong to. A topic that was created again has other places.
        places: by the name of the log, the last change that was seen.
    """

    epoch: str
    places: Mapping[str, Place]

    def __str__(self) -> str:
        """Return the cursor as text without characters that a header or a URL would need to escape."""
        content = json.dumps([self.epoch, self.places], separators=(",", ":"))
        return _PREFIX + base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def parse_page_cursor(text: str) -> PageCursor:
    """Return the cursor that `str` wrote. Raises `UsageError` for anything else."""
    encoded = text.removeprefix(_PREFIX)
    if encoded == text or len(text) > _MAX_LENGTH:
        raise _invalid()
    try:
        content = json.loads(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid() from None
    match content:
        case [str(epoch), dict(places)]:
            return PageCursor(epoch, {log: _place(place) for log, place in places.items()})
    raise _invalid()


def _place(place: object) -> Place:
    match place:
        case [int(offset), int(step)] if -1 <= offset <= _MAX_OFFSET and -1 <= step <= _MAX_OFFSET:
            return Place(offset, step)
    raise _invalid()


def _invalid() -> UsageError:
    return UsageError("cursor: expected one that this page gave, got something else; load the wall again")
