"""Read the tables and lists of data sets in several encodings."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from triptych.schemas.errors import UsageError

_C1: Final = {
    code: bytes([code]).decode("cp1252") for code in range(0x80, 0xA0) if code not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}
"""Control characters that are Windows-1252 quotes and dashes decoded as Latin-1."""


def read_text(file: Path) -> str:
    """Return the text of a file: UTF-8, else Windows-1252. Repairs quotes that were decoded as Latin-1.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: expected a file of the data set, got: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.translate(_C1)


def read_lines(file: Path) -> list[str]:
    """Return the lines of a file without empty lines at its end."""
    lines = [line.removesuffix("\r") for line in read_text(file).split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def read_rows(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table with a header.

    Raises:
        UsageError: it cannot be read, or one of these columns is missing.
    """
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""), restval="")
    header = [name.strip() for name in reader.fieldnames or ()]
    missing = [column for column in columns if column not in header]
    if missing:
        raise UsageError(f"{file}: expected the column {missing[0]}, got: {', '.join(header)}")
    reader.fieldnames = header
    return list(reader)
