"""What helps to understand a question that was spoken: a prompt for the recogniser, and times as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_STYLE: Final = (
    "When was a lamp shown? At 09:15:30, what was on the screen? How often did someone say “train”? "
    "What did they say at 14:02?"
)
_MAX_NAMES: Final = 100
"""Whisper reads the last 223 tokens of a prompt; most names have one or two."""
_HEARD_TIME: Final = re.compile(
    r"\b(?P<before>at|from|to|until|till|since|by|before|after|around|about|and) "
    r"(?P<hours>2[0-3]|[01]?\d)(?P<sign>[-,.: ]{0,2})(?P<minutes>[0-5]?\d)"
    r"(?:(?P<second_sign>[-,.: ]{0,2})(?P<seconds>[0-5]?\d))?(?![\w%])",
    re.IGNORECASE,
)
_MIN_DIGITS: Final = 4
"""Of a time without a sign, or with commas, which also stand between two numbers."""


def prompt_for_questions(names: Iterable[str]) -> str:
    """Return a text that a recogniser may take for what was said before: questions, and the names of an index.

    Args:
        names: what the index shows and hears. The first hundred are used.
    """
    known = ", ".join(list(names)[:_MAX_NAMES])
    return f"{_STYLE} {known}." if known else _STYLE


def with_written_times(heard: str) -> str:
    """Return a transcript with its times of day as `HH:MM` or `HH:MM:SS`.

    A recogniser writes the time 10:14:22 as “1014-22”, “10, 14, 22” or “10-14-22”. Numbers become a time only after a
    word such as “at”, and digits without any sign only after “at” itself.
    """
    return _HEARD_TIME.sub(_written, heard)


def _written(found: re.Match[str]) -> str:
    hours, minutes, seconds = found["hours"], found["minutes"], found["seconds"] or ""
    signs = (found["sign"] + (found["second_sign"] or "")).strip()
    has_digits = len(hours + minutes + seconds) >= _MIN_DIGITS
    has_hours = bool(found["sign"]) or len(hours) > 1
    is_at = bool(signs) or found["before"].lower() == "at"
    if not (has_hours and is_at and (has_digits or signs.strip(", "))):
        return found[0]
    return f"{found['before']} {int(hours):02}:{int(minutes):02}" + (f":{int(seconds):02}" if seconds else "")
