"""Format dead letters for people and programs."""

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
from triptych.consumers.dead.redrive import RedriveOutcome, RedrivePlan
from triptych.schemas.dead import DeadLetter
from triptych.schemas.errors import UsageError
from triptych.terminal_text import printable
from triptych.units import NS_PER_S

_SUFFIX_OF: Final = {
    b"image/jpeg": ".jpg",
    b"image/png": ".png",
    b"image/webp": ".webp",
    b"audio/wav": ".wav",
    b"audio/flac": ".flac",
    b"text/plain": ".txt",
}
_MAX_SHOWN_SKIPPED: Final = 20
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def table(groups: Sequence[DeadLetterGroup]) -> Table:
    """Return a table of counts by reason and stream."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("reason", no_wrap=True)
    shown.add_column("stream", overflow="fold")
    for heading in ("letters", "waiting", "redriven", "again"):
        shown.add_column(heading, justify="right")
    shown.add_column("size", justify="right", no_wrap=True)
    shown.add_column("newest", no_wrap=True)
    shown.add_column("newest id", overflow="fold")
    for group in groups:
        counts = group.counts
        numbers = (group.letters, counts["waiting"] + counts["unsure"], counts["redriven"], counts["dead_again"])
        shown.add_row(
            Text(group.code),
            Text(printable(group.stream)),
            *(str(number) for number in numbers),
            size(group.size_bytes),
            utc_text(group.newest.appended_ns),
            Text(group.newest.id),
        )
    return shown


def group_lines(groups: Iterable[DeadLetterGroup]) -> Iterator[str]:
    """Return the same counts as JSON, one object per line."""
    for group in groups:
        fields: dict[str, object] = {"reason": group.code, "stream": group.stream, "letters": group.letters}
        newest = {"newest": utc_text(group.newest.appended_ns), "newest_id": group.newest.id}
        yield json.dumps(fields | {**group.counts} | {"bytes": group.size_bytes} | newest)


def letter_lines(dead: DeadLetters, letters: Iterable[StoredDeadLetter], *, as_json: bool) -> Iterator[str]:
    """Return one line for each letter."""
    for letter in letters:
        fields = described(dead, letter)
        if as_json:
            yield json.dumps(fields)
        else:
            yield "  ".join(str(fields[name]) for name in ("appended", "id", "state", "code", "reason"))


def described(dead: DeadLetters, letter: StoredDeadLetter) -> dict[str, Any]:
    """Return the summary of a letter as JSON values."""
    return {
        "id": letter.id,
        "place": f"{letter.tp.partition}:{letter.at}",
        "appended": utc_text(letter.appended_ns),
        "state": dead.state(letter),
        "code": letter.code,
        "reason": letter.reason,
        "stream": letter.stream,
        "topic": letter.topic,
        "arrived": utc_text(letter.arrival_ns),
        "whole": letter.whole,
        "came_from": letter.previous_id or None,
    }


def full_description(dead: DeadLetters, letter: StoredDeadLetter, record: DeadLetter) -> dict[str, Any]:
    """Return everything about a letter except its record's value. Headers that are not text are Python literals."""
    return described(dead, letter) | {
        "partition": record.partition,
        "offset": record.offset,
        "key": None if record.key is None else text(record.key),
        "headers": [[name, text(value)] for name, value in record.headers],
        "bytes": len(record.value),
    }


def full_lines(fields: dict[str, Any]) -> Iterator[str]:
    """Return a full description as lines for people."""
    names = [name for name in fields if name != "headers"]
    width = max(len(name) for name in names)
    for name in names:
        if fields[name] is not None:
            yield f"{name:{width}}  {printable(str(fields[name]))}"
    yield "headers"
    for name, value in fields["headers"]:
        yield f"  {printable(name)}: {printable(value)}"


def redriven_lines(planned: RedrivePlan, outcome: RedriveOutcome | None) -> Iterator[str]:
    """Return the outcome of a redrive as lines; without an outcome, what it would do."""
    if outcome is None:
        yield f"{len(planned.wanted)} would be redriven"
    else:
        earlier = outcome.already_redriven
        yield f"{outcome.redriven} redriven" + (f", {earlier} already redriven by an earlier run" if earlier else "")
    skipped = planned.skipped + (() if outcome is None else outcome.failed)
    if skipped:
        yield f"{len(skipped)} skipped:"
    for one in skipped[:_MAX_SHOWN_SKIPPED]:
        yield f"  {one.letter.id}: {one.reason}"
    if len(skipped) > _MAX_SHOWN_SKIPPED:
        yield f"  and {len(skipped) - _MAX_SHOWN_SKIPPED} more"


def write_value(out: Path, letter: StoredDeadLetter, record: DeadLetter) -> Path:
    """Write a record's value to a new file, or to a new file in a folder; return its path. Raises `UsageError`."""
    path = out / file_name(letter, record) if out.is_dir() else out
    try:
        with path.open("xb") as file:
            file.write(record.value)
    except OSError as error:
        raise UsageError(f"out: expected a folder or a file that does not exist yet, got: {error}") from error
    return path


def file_name(letter: StoredDeadLetter, record: DeadLetter) -> str:
    """Return a file name for the value of a letter, with the suffix of its content type."""
    content_type = dict(record.headers).get("content-type", b"").partition(b";")[0].strip().lower()
    return letter.id.replace("/", "-") + _SUFFIX_OF.get(content_type, ".bin")


def text(value: bytes) -> str:
    """Return bytes as text, or as a Python literal if they are not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return repr(value)


def size(count: int) -> str:
    """Return a number of bytes for people."""
    power = 0 if count == 0 else min(int(math.log(count, 1000)), len(_UNITS) - 1)
    return f"{count / 1000**power:.3g} {_UNITS[power]}"


def utc_text(arrival_ns: int) -> str:
    """Return a time in UTC, to the second."""
    return f"{datetime.fromtimestamp(arrival_ns // NS_PER_S, UTC):%Y-%m-%dT%H:%M:%SZ}"
