"""Read the headers of a record. Every invalid header raises `MalformedRecordError`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.reasons import DeadReason
from triptych.schemas.values import MAX_NS

RawHeaders = tuple[tuple[str, bytes], ...]
_DECIMAL: Final = re.compile(r"[0-9]{1,19}")
MEASURE_PATTERN: Final = r"-?[0-9]{1,10}(\.[0-9]{1,9})?"
_MEASURE: Final = re.compile(MEASURE_PATTERN)
# The longest text of a header: 2048 characters of up to four bytes.
_LONGEST_BYTES: Final = 8192


class Headers:
    """The headers of one record by name.

    A header is only checked when it is requested, since a record also carries headers of others (tracing, tools). A
    header that occurs twice is invalid.
    """

    def __init__(self, raw: Iterable[tuple[str, bytes | None]]) -> None:
        """Index the raw pairs."""
        self._values: dict[str, list[bytes | None]] = {}
        for name, value in raw:
            self._values.setdefault(name, []).append(value)

    def raw(self, name: str) -> bytes | None:
        """Return the header's bytes, or None if it is missing. The length is not limited."""
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise MalformedRecordError(name, "the header once", f"{len(values)} times")
        value = values[0]
        if not value:
            raise MalformedRecordError(name, "a header that is not empty", "null" if value is None else value)
        return value

    def text(self, name: str) -> str | None:
        """Return the header as text, or None if it is missing."""
        value = self.raw(name)
        if value is None:
            return None
        if len(value) > _LONGEST_BYTES:
            raise MalformedRecordError(name, f"at most {_LONGEST_BYTES} bytes", value)
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise MalformedRecordError(name, "UTF-8", value) from None

    def required(self, name: str, expected: str) -> str:
        """Return the header as text; raise if it is missing."""
        value = self.text(name)
        if value is None:
            raise MalformedRecordError(name, expected, "no such header", DeadReason.MISSING_HEADER)
        return value

    def number(self, name: str) -> int | None:
        """Return the header's decimal number, or None if it is missing."""
        value = self.text(name)
        return None if value is None else self._parsed(name, value)

    def required_number(self, name: str) -> int:
        """Return the header's decimal number; raise if it is missing."""
        return self._parsed(name, self.required(name, "a decimal number"))

    def measure(self, name: str) -> float | None:
        """Return the header's signed decimal fraction, or None if it is missing."""
        value = self.text(name)
        if value is not None and not _MEASURE.fullmatch(value):
            raise MalformedRecordError(name, "a number such as -12.5", value)
        return None if value is None else float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return the header as a boolean, or `default` if it is missing."""
        value = self.text(name)
        if value not in {None, "true", "false"}:
            raise MalformedRecordError(name, "true or false", value)
        return default if value is None else value == "true"

    @staticmethod
    def _parsed(name: str, value: str) -> int:
        if not _DECIMAL.fullmatch(value) or int(value) > MAX_NS:
            raise MalformedRecordError(name, f"a decimal number from 0 to {MAX_NS}", value)
        return int(value)
