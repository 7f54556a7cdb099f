"""Results as a person reads them: a table with one row a stream, or one line a result. Pure: no clock, no I/O."""

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

from triptych.schemas.results import Modalities, Prediction, Result, State
from triptych.units import NS_PER_MS, NS_PER_S

_MS_PER_S: Final = 1_000
_WIDE: Final = 150
_MIDDLE: Final = 100
_REMEMBERED_STREAMS: Final = 1_000
_FRAME_LINES: Final = 7
_ABSENT: Final = "-"
_SIGN_OF: Final[dict[State, tuple[str, str]]] = {
    "present": ("●", "green"),
    "held": ("◐", "cyan"),
    "empty": ("○", "yellow"),
    "idle": ("◌", "red"),
    "absent": (_ABSENT, "dim"),
}
_HEARD: Final = "≈ "
"""Stands before words that a machine has heard."""

# Words come from anybody's subtitles: what would steer the terminal or turn the text about must not reach it.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def result_line(result: Result) -> str:
    """Return the result in one line of plain text."""
    seen, words = _labels(result, 3), _words(result)
    parts = [
        f"{result.stream}  {_window(result)}  V A S {_signs(result.modalities)}",
        seen if seen != _ABSENT else "",
        f"speech {_speech(result)}" if result.observations.speech_share is not None else "",
        f"{_loudness(result)} LUFS" if result.observations.loudness_lufs is not None else "",
        f"“{words}”" if words else "",
        f"{_closing(result)}, lag {_lag(result)}",
    ]
    return "  ".join(part for part in parts if part)


class ResultsTable:
    """A table of the newest result of each stream; give it to `rich.live.Live` and add to it."""

    def __init__(self) -> None:
        self._newest: OrderedDict[str, Result] = OrderedDict()  # the longest silent first
        self._count = 0
        self._revisions = 0

    def add(self, result: Result) -> None:
        """Show this result as its stream's newest, unless it revises an older window."""
        self._count += 1
        self._revisions += result.revision > 0
        shown = self._newest.get(result.stream)
        if shown is not None and result.revision and result.end_ns < shown.end_ns:
            return
        self._newest[result.stream] = result
        self._newest.move_to_end(result.stream)
        if len(self._newest) > _REMEMBERED_STREAMS:
            self._newest.popitem(last=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render for the width there is; where not all streams fit, those that spoke last."""
        room = max(1, (options.height or options.size.height) - _FRAME_LINES)
        newest = tuple(self._newest.copy().values())  # `Live` renders on a thread of its own
        shown = sorted(newest[-room:], key=lambda result: result.stream)
        fields = _fields(options.max_width)
        columns = [field.column() for field in fields]
        table = Table(*columns, expand=True, box=SIMPLE_HEAD, pad_edge=False, caption_justify="left")
        table.caption = _caption(
            self._count, revisions=self._revisions, streams=len(newest), hidden=len(newest) - len(shown)
        )
        for result in shown:
            table.add_row(*(field.cell(result) for field in fields))
        yield table


@dataclass(frozen=True, slots=True)
class _Field:
    """One column: what it shows of a result, in a width of its own or in a share of what is left."""

    heading: str
    show: Callable[[Result], str | Text]
    ratio: int | None = None
    justify: Literal["left", "right"] = "left"
    most: int | None = None

    def column(self) -> Column:
        """Return the column; what does not fit is cut, never wrapped, so that rows do not jump."""
        return Column(
            self.heading,
            ratio=self.ratio,
            justify=self.justify,
            max_width=self.most,
            no_wrap=True,
            overflow="ellipsis",
        )

    def cell(self, result: Result) -> Text:
        """Return what stands in the result's row."""
        shown = self.show(result)
        return shown if isinstance(shown, Text) else Text(shown)


def _fields(width: int) -> tuple[_Field, ...]:
    if width < _MIDDLE:
        return _NARROW_FIELDS
    return _MIDDLE_FIELDS if width < _WIDE else _WIDE_FIELDS


def _caption(count: int, *, revisions: int, streams: int, hidden: int) -> Text:
    caption = Text(f"{count} windows of {streams} streams", style="dim")
    if revisions:
        caption.append(f", {revisions} of them revisions")
    if hidden:
        caption.append(f", {hidden} of them not shown")
    for state, (sign, style) in _SIGN_OF.items():
        caption.append("   ")
        caption.append(sign, style=f"not dim {style}")
        caption.append(f" {state}")
    return caption


def _moment(moment_ns: int, *, with_date: bool) -> str:
    moment = datetime.fromtimestamp(moment_ns // NS_PER_S, UTC)
    text = moment.strftime("%Y-%m-%d %H:%M:%S" if with_date else "%H:%M:%S")
    fraction_ms = moment_ns % NS_PER_S // NS_PER_MS
    return f"{text}.{fraction_ms:03d}".rstrip("0") if fraction_ms else text


def _seconds(result: Result) -> str:
    return f"{(result.end_ns - result.start_ns) / NS_PER_S:g} s"


def _start(result: Result) -> str:
    revision = f" r{result.revision}" if result.revision else ""
    return _moment(result.start_ns, with_date=False) + revision


def _window(result: Result) -> str:
    return f"{_moment(result.start_ns, with_date=True)} +{_seconds(result)}"


def _signs(modalities: Modalities) -> Text:
    return Text(" ").join(Text.assemble(_SIGN_OF[report.state]) for _, report in modalities)


def _labels(result: Result, most: int) -> str:
    """Return what trained heads say, the best of each; without any the best labels seen, each by its first synonym."""
    if result.predictions:
        heads = list(result.predictions.items())[:most]
        return ", ".join(_predicted(head, said[0]) for head, said in heads if said) or _ABSENT
    scored = result.observations.visual[:most]
    return ", ".join(f"{_safe(seen.label.split(',')[0])} {seen.score:.0%}" for seen in scored) or _ABSENT


def _predicted(head: str, best: Prediction) -> str:
    """Return a label and how sure it is; of a head that says a number, the number."""
    if best.confidence is None:
        return f"{_safe(head)} {best.score:.3g}"
    return f"{_safe(head)}: {_safe(best.label)} {best.confidence:.0%}"


def _speech(result: Result) -> str:
    share = result.observations.speech_share
    return _ABSENT if share is None else f"{share:.0%}"


def _loudness(result: Result) -> str:
    loudness = result.observations.loudness_lufs
    return _ABSENT if loudness is None else f"{loudness:.1f}"


def _words(result: Result) -> str:
    return " / ".join((_HEARD if words.generated else "") + _safe(words.text) for words in result.observations.words)


def _closing(result: Result) -> str:
    revision = f" r{result.revision}" if result.revision else ""
    skipped = f", {result.skipped} skipped" if result.skipped else ""
    return result.closed_by + revision + skipped + _shed(result)


def _shed(result: Result) -> str:
    """Say what overload left out of the window."""
    if result.shed.model:
        return ", model not asked"
    return f", {result.shed.video} pictures shed" if result.shed.video else ""


def _lag(result: Result) -> str:
    """Return the time from the arrival of the window's last record to its publication."""
    last_ms = result.arrival_ms.last
    if last_ms is None:
        return _ABSENT
    return f"{result.published_ns / NS_PER_S - last_ms / _MS_PER_S:.1f} s"


def _safe(text: str) -> str:
    return _UNSAFE.sub(" ", text)


_SIGNS: Final = _Field("V A S", lambda result: _signs(result.modalities))
_SPEECH: Final = _Field("speech", _speech, justify="right")
_LOUDNESS: Final = _Field("LUFS", _loudness, justify="right")
_WORDS: Final = _Field("words", _words, ratio=4)
_LAG: Final = _Field("lag", _lag, justify="right")
_NARROW_FIELDS: Final = (
    _Field("stream", lambda result: result.stream, most=14),
    _Field("start", _start),
    _SIGNS,
    _Field("seen", lambda result: _labels(result, 1), ratio=3),
    _SPEECH,
    _WORDS,
)
_MIDDLE_FIELDS: Final = (
    _Field("stream", lambda result: result.stream, most=20),
    _Field("start", _start),
    _SIGNS,
    _Field("seen", lambda result: _labels(result, 2), ratio=4),
    _SPEECH,
    _LOUDNESS,
    _WORDS,
    _Field("closed by", _closing),
    _LAG,
)
_WIDE_FIELDS: Final = (
    _Field("stream", lambda result: result.stream, most=32),
    _Field("window (UTC)", _window),
    _SIGNS,
    _Field("seen", lambda result: _labels(result, 3), ratio=4),
    _SPEECH,
    _LOUDNESS,
    _WORDS,
    _Field("closed by", _closing),
    _LAG,
)
