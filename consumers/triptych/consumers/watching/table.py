"""Format results for people: a table with one row per stream, or one line per result. No clock, no I/O."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from triptych.consumers.subscription.recent_ids import RecentIds
from triptych.schemas.perception.shown import shown_counts, shown_labels, shown_sounds
from triptych.schemas.results import WITHOUT_WAITING, Modalities, Prediction, Result, State
from triptych.units import NS_PER_MS, NS_PER_S

_MS_PER_S: Final = 1_000
_WIDE_COLUMNS: Final = 150
_MIDDLE_COLUMNS: Final = 100
_REMEMBERED_STREAMS: Final = 1_000
_REMEMBERED_WINDOWS: Final = 65_536
_FRAME_LINES: Final = 7
_SHOWN_MATCH: Final = 0.5
"""Matches with a lower score are not shown."""
_OBJECTS_IN_LINE: Final = 4
_PEOPLE: Final = "people"
_NONE: Final = "-"
_SYMBOL_OF: Final[dict[State, tuple[str, str]]] = {
    "present": ("●", "green"),
    "held": ("◐", "cyan"),
    "empty": ("○", "yellow"),
    "idle": ("◌", "red"),
    "absent": (_NONE, "dim"),
}
_GENERATED_MARK: Final = "≈ "
"""Marks text from speech recognition."""

# Subtitles are untrusted: remove characters that control the terminal or the text direction.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def result_line(result: Result) -> str:
    """Return the result as one line of plain text."""
    seen, heard, words = _labels(result, 3), _heard(result), _words(result)
    parts = [
        f"{result.stream}  {_window(result)}  V A S {_symbols(result.modalities)}",
        _matches(result, 3),
        _objects(result, _OBJECTS_IN_LINE),
        seen if seen != _NONE else "",
        heard if heard != _NONE else "",
        f"{_loudness(result)} LUFS" if result.observations.loudness_lufs is not None else "",
        f"“{words}”" if words else "",
        _flags(result),
        f"{_close_reason(result)}, lag {_lag(result)}",
    ]
    return "  ".join(part for part in parts if part)


class ResultsTable:
    """A table with the newest result of each stream. Pass it to `rich.live.Live` and add results."""

    def __init__(self) -> None:
        self._newest: OrderedDict[str, Result] = OrderedDict()  # least recently updated first
        self._windows = RecentIds(_REMEMBERED_WINDOWS)
        self._count = 0
        self._revisions = 0

    def add(self, result: Result) -> None:
        """Show this result as its stream's newest, unless it revises an older window.

        A revision takes the place of its window's result, and does not count as another window.
        """
        self._count += self._windows.add(result.window)
        self._revisions += result.revision > 0
        shown = self._newest.get(result.stream)
        if shown is not None and result.revision and result.end_ns < shown.end_ns:
            return
        self._newest[result.stream] = result
        self._newest.move_to_end(result.stream)
        if len(self._newest) > _REMEMBERED_STREAMS:
            self._newest.popitem(last=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render for the available size. If not all streams fit, show those with the newest results."""
        room = max(1, (options.height or options.size.height) - _FRAME_LINES)
        newest = tuple(self._newest.copy().values())  # `Live` renders on its own thread
        shown = sorted(newest[-room:], key=lambda result: result.stream)
        fields = _columns_for(options.max_width)
        columns = [field.column() for field in fields]
        table = Table(*columns, expand=True, box=SIMPLE_HEAD, pad_edge=False, caption_justify="left")
        table.caption = _caption(
            self._count, revisions=self._revisions, streams=len(newest), hidden=len(newest) - len(shown)
        )
        for result in shown:
            table.add_row(*(field.cell(result) for field in fields))
        yield table


@dataclass(frozen=True, slots=True)
class _TableColumn:
    """One column: what it shows of a result, and either its maximum width or its share of the remaining width."""

    heading: str
    show: Callable[[Result], str | Text]
    ratio: int | None = None
    justify: Literal["left", "right"] = "left"
    most: int | None = None

    def column(self) -> Column:
        """Return the column. Text that does not fit is cut, never wrapped, so that rows keep their height."""
        return Column(
            self.heading,
            ratio=self.ratio,
            justify=self.justify,
            max_width=self.most,
            no_wrap=True,
            overflow="ellipsis",
        )

    def cell(self, result: Result) -> Text:
        """Return the cell of a result."""
        shown = self.show(result)
        return shown if isinstance(shown, Text) else Text(shown)


def _columns_for(width: int) -> tuple[_TableColumn, ...]:
    if width < _MIDDLE_COLUMNS:
        return _NARROW_TABLE
    return _MIDDLE_TABLE if width < _WIDE_COLUMNS else _WIDE_TABLE


def _caption(count: int, *, revisions: int, streams: int, hidden: int) -> Text:
    caption = Text(f"{count} windows of {streams} streams", style="dim")
    if revisions:
        caption.append(f", {revisions} revisions")
    if hidden:
        caption.append(f", {hidden} of them not shown")
    for state, (sign, style) in _SYMBOL_OF.items():
        caption.append("   ")
        caption.append(sign, style=f"not dim {style}")
        caption.append(f" {state}")
    return caption


def _utc_text(moment_ns: int, *, with_date: bool) -> str:
    moment = datetime.fromtimestamp(moment_ns // NS_PER_S, UTC)
    text = moment.strftime("%Y-%m-%d %H:%M:%S" if with_date else "%H:%M:%S")
    fraction_ms = moment_ns % NS_PER_S // NS_PER_MS
    return f"{text}.{fraction_ms:03d}".rstrip("0") if fraction_ms else text


def _seconds(result: Result) -> str:
    return f"{(result.end_ns - result.start_ns) / NS_PER_S:g} s"


def _start(result: Result) -> str:
    revision = f" r{result.revision}" if result.revision else ""
    return _utc_text(result.start_ns, with_date=False) + revision


def _window(result: Result) -> str:
    return f"{_utc_text(result.start_ns, with_date=True)} +{_seconds(result)}"


def _symbols(modalities: Modalities) -> Text:
    return Text(" ").join(Text.assemble(_SYMBOL_OF[report.state]) for _, report in modalities)


def _labels(result: Result, most: int) -> str:
    """Return the best prediction of each trained head; without heads, the labels that say something, best first."""
    if result.predictions:
        heads = list(result.predictions.items())[:most]
        return ", ".join(_predicted(head, said[0]) for head, said in heads if said) or _NONE
    scored = shown_labels(result.observations)[:most]
    return ", ".join(f"{_printable(seen.label)} {seen.score:.0%}" for seen in scored) or _NONE


def _flags(result: Result) -> str:
    return ", ".join(result.quality.flags) if result.quality else ""


def _seen(result: Result, most: int) -> str:
    """Return matches, flags of technical quality, objects and the best labels: those of a black one mean nothing."""
    flags = _flags(result)
    labels = _NONE if "black" in flags else _labels(result, most)
    parts = (_matches(result, most), flags, _objects(result, most + 1), labels)
    return "; ".join(part for part in parts if part != _NONE and part) or _NONE


def _matches(result: Result, most: int) -> str:
    """Return the prompts that the window probably fits, best first."""
    found = [(name, match.score) for name, match in (result.matches or {}).items() if match.score >= _SHOWN_MATCH]
    found.sort(key=lambda match: -match[1])
    return ", ".join(f"{_printable(name)}! {score:.0%}" for name, score in found[:most])


def _objects(result: Result, most: int) -> str:
    """Return the number of people, then of the most frequent other objects, in the picture that shows most of them."""
    numbers = shown_counts(result)
    people = numbers.pop(_PEOPLE, 0)
    others = sorted(numbers.items(), key=lambda counted: (-counted[1], counted[0]))
    shown = [(_PEOPLE, people)] * bool(people) + others
    return ", ".join(f"{_printable(label)} {number}" for label, number in shown[:most])


def _predicted(head: str, best: Prediction) -> str:
    """Return a label with its confidence; for a regression head, the number."""
    if best.confidence is None:
        return f"{_printable(head)} {best.score:.3g}"
    return f"{_printable(head)}: {_printable(best.label)} {best.confidence:.0%}"


def _speech(result: Result) -> str:
    share = result.observations.speech_share
    return _NONE if share is None else f"{share:.0%}"


def _heard(result: Result) -> str:
    """Return the share of speech, and the other sounds that are worth showing."""
    share = result.observations.speech_share
    speech = () if share is None else (f"speech {share:.0%}",)
    others = (f"{_printable(heard.label)} {heard.score:.0%}" for heard in shown_sounds(result.observations))
    return ", ".join((*speech, *others)) or _NONE


def _loudness(result: Result) -> str:
    loudness = result.observations.loudness_lufs
    return _NONE if loudness is None else f"{loudness:.1f}"


def _words(result: Result) -> str:
    return " / ".join(
        (_GENERATED_MARK if words.generated else "") + _printable(words.text) for words in result.observations.words
    )


def _close_reason(result: Result) -> str:
    skipped = f", {result.skipped} skipped" if result.skipped else ""
    return result.closed_by + _revision(result) + skipped + _shed(result)


def _revision(result: Result) -> str:
    """Return what a revision is for: to complete a window that closed without waiting for a track, or to revise one."""
    if not result.revision:
        return ""
    return f", {'completed' if result.closed_by in WITHOUT_WAITING else 'revised'} r{result.revision}"


def _shed(result: Result) -> str:
    """Return what load shedding left out of the window."""
    if result.shed.model:
        return ", model not run"
    shed = (("frames", result.shed.video), ("pictures for detection", result.shed.detections))
    parts = [f"{number} {what}" for what, number in shed if number]
    return f", {' and '.join(parts)} shed" if parts else ""


def _lag(result: Result) -> str:
    """Return the time from the arrival of the window's last record to its publication."""
    last_ms = result.arrival_ms.last
    if last_ms is None:
        return _NONE
    return f"{result.published_ns / NS_PER_S - last_ms / _MS_PER_S:.1f} s"


def _printable(text: str) -> str:
    return _UNSAFE.sub(" ", text)


_SYMBOLS: Final = _TableColumn("V A S", lambda result: _symbols(result.modalities))
_SPEECH: Final = _TableColumn("speech", _speech, justify="right")
_HEARD: Final = _TableColumn("heard", _heard)
_LOUDNESS: Final = _TableColumn("LUFS", _loudness, justify="right")
_WORDS: Final = _TableColumn("words", _words, ratio=4)
_LAG: Final = _TableColumn("lag", _lag, justify="right")
_NARROW_TABLE: Final = (
    _TableColumn("stream", lambda result: result.stream, most=14),
    _TableColumn("start", _start),
    _SYMBOLS,
    _TableColumn("seen", lambda result: _seen(result, 1), ratio=3),
    _SPEECH,
    _WORDS,
)
_MIDDLE_TABLE: Final = (
    _TableColumn("stream", lambda result: result.stream, most=20),
    _TableColumn("start", _start),
    _SYMBOLS,
    _TableColumn("seen", lambda result: _seen(result, 2), ratio=4),
    _HEARD,
    _LOUDNESS,
    _WORDS,
    _TableColumn("closed by", _close_reason),
    _LAG,
)
_WIDE_TABLE: Final = (
    _TableColumn("stream", lambda result: result.stream, most=32),
    _TableColumn("window (UTC)", _window),
    _SYMBOLS,
    _TableColumn("seen", lambda result: _seen(result, 3), ratio=4),
    _HEARD,
    _LOUDNESS,
    _WORDS,
    _TableColumn("closed by", _close_reason),
    _LAG,
)
