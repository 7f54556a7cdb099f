"""Dead letters as people and programs read them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from triptych.consumers.dead.letters import DeadLetterGroup, DeadLetters, StoredDeadLetter
from triptych.consumers.dead.redrive import Redriven, RedrivePlan
from triptych.schemas.dead import DeadLetter
from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_S

_SUFFIX_OF: Final = {
    b"image/jpeg": ".jpg",
    b"image/png": ".png",
    b"image/webp": ".webp",
    b"audio/wav": ".wav",
    b"audio/flac": ".flac",
    b"text/plain": ".txt",
}
_SHOWN_LEFT: Final = 20
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def table(groups: Sequence[DeadLetterGroup]) -> Table:
    """Return counts by reason and stream."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("reason", no_wrap=True)
    shown.add_column("stream", overflow="fold")
    for heading in ("letters", "waiting", "redriven", "again"):
        shown.add_column(heading, justify="right")
    shown.add_column("size", justify="right", no_wrap=True)
    shown.add_column("newest", no_wrap=True)
    shown.add_column("its id", overflow="fold")
    for group in groups:
        counts = group.counts
        numbers = (group.letters, counts["waiting"] + counts["unsure"], counts["redriven"], counts["dead_again"])
        shown.add_row(
            Text(group.code),
            Text(printable(group.stream)),
            *(str(number) for number in numbers),
            size(group.size_bytes),
            moment(group.newest.appended_ns),
            Text(group.newest.id),
        )
    return shown


def group_lines(groups: Iterable[DeadLetterGroup]) -> Iterator[str]:
    """Return the same as JSON, one object a line."""
    for group in groups:
        said: dict[str, object] = {"reason": group.code, "stream": group.stream, "letters": group.letters}
        newest = {"newest": moment(group.newest.appended_ns), "newest_id": group.newest.id}
        yield json.dumps(said | {**group.counts} | {"bytes": group.size_bytes} | newest)


def letter_lines(dead: DeadLetters, letters: Iterable[StoredDeadLetter], *, as_json: bool) -> Iterator[str]:
    """Return a line for each letter."""
    for letter in letters:
        said = described(dead, letter)
        if as_json:
            yield json.dumps(said)
        else:
            yield "  ".join(str(said[name]) for name in ("appended", "id", "state", "code", "reason"))


def described(dead: DeadLetters, letter: StoredDeadLetter) -> dict[str, Any]:
    """Return what is known of a letter but for its record."""
    return {
        "id": letter.id,
        "place": f"{letter.tp.partition}:{letter.at}",
        "appended": moment(letter.appended_ns),
        "state": dead.state(letter),
        "code": letter.code,
        "reason": letter.reason,
        "stream": letter.stream,
        "topic": letter.topic,
        "arrived": moment(letter.arrival_ns),
        "whole": letter.whole,
        "came_from": letter.came_from or None,
    }


def in_full(dead: DeadLetters, letter: StoredDeadLetter, record: DeadLetter) -> dict[str, Any]:
    """Return all of a letter but the bytes of its record's value; header values that are no text as Python writes."""
    return described(dead, letter) | {
        "partition": record.partition,
        "offset": record.offset,
        "key": None if record.key is None else text(record.key),
        "headers": [[name, text(value)] for name, value in record.headers],
        "bytes": len(record.value),
    }


def full_lines(said: dict[str, Any]) -> Iterator[str]:
    """Return that as lines for people."""
    names = [name for name in said if name != "headers"]
    width = max(len(name) for name in names)
    for name in names:
        if said[name] is not None:
            yield f"{name:{width}}  {printable(str(said[name]))}"
    yield "headers"
    for name, value in said["headers"]:
        yield f"  {printable(name)}: {printable(value)}"


def redriven_lines(planned: RedrivePlan, came: Redriven | None) -> Iterator[str]:
    """Say what was put back, or without that what would be; then what was left, the first of them by name."""
    if came is None:
        yield f"{len(planned.wanted)} would be put back"
    else:
        there = f", {came.there} of an earlier run are there already" if came.there else ""
        yield f"{came.put_back} put back{there}"
    left = planned.left + (() if came is None else came.refused)
    if left:
        yield f"{len(left)} left as they are:"
    for one in left[:_SHOWN_LEFT]:
        yield f"  {one.letter.id}: {one.why}"
    if len(left) > _SHOWN_LEFT:
        yield f"  and {len(left) - _SHOWN_LEFT} more"


def write_value(out: Path, letter: StoredDeadLetter, record: DeadLetter) -> Path:
    """Write a record's value to a new file, or into a folder under a name of its own; return the file."""
    path = out / file_name(letter, record) if out.is_dir() else out
    try:
        with path.open("xb") as file:
            file.write(record.value)
    except OSError as error:
        raise UsageError(f"out: expected a folder or a file that does not exist yet, got: {error}") from error
    return path


def file_name(letter: StoredDeadLetter, record: DeadLetter) -> str:
    """Return a name for the file of a letter's value, with what its content type calls for."""
    content_type = dict(record.headers).get("content-type", b"").partition(b";")[0].strip().lower()
    return letter.id.replace("/", "-") + _SUFFIX_OF.get(content_type, ".bin")


def text(value: bytes) -> str:
    """Return bytes as text, or as Python writes them where they are none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return repr(value)


def printable(shown: str) -> str:
    """Return text that moves no cursor and rings no bell, whoever wrote it."""
    return shown if shown.isprintable() else repr(shown)


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    power = 0 if count == 0 else min(int(math.log(count, 1000)), len(_UNITS) - 1)
    return f"{count / 1000**power:.3g} {_UNITS[power]}"


def moment(arrival_ns: int) -> str:
    """Return a moment in UTC, to the second."""
    return f"{datetime.fromtimestamp(arrival_ns // NS_PER_S, UTC):%Y-%m-%dT%H:%M:%SZ}"
