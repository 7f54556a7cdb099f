"""The command `triptych match`: the windows of a clip, ranked by texts. It needs no server.

The clip is read like a producer does, and cut into windows and embedded like a worker does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from triptych.models.prediction import WindowVectors
    from triptych.models.spaces.joint_space import JointSpace
    from triptych.models.spaces.ranking import WindowScore
    from triptych.models.window import PreparedWindow

_BATCH: Final = 8
_FRAMES: Final = 4
_SHOWN_CHARS: Final = 40
"""Of the cues of a window, in a table."""
_FIRST_WINDOW: Final = 1_000_000
"""The clip starts this many windows after the epoch, so that no event time is negative."""


def match(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="Media file, read like triptych produce does.")],
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="What to look for, in any of 16 languages.")],
    *,
    window_ms: Annotated[int, typer.Option(min=100, max=60_000, help="Length of the windows.")] = 2_000,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Number of windows to show for each text.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Rank the windows of a clip by each text, with the scores of pictures, sounds and words.

    Scores are cosines in the semantic space of the base model (docs/spaces.md). They rank windows: none means "yes".
    """
    from rich.console import Console

    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.models.spaces.ranking import rank_windows
    from triptych.models.spaces.semantic import build_semantic_space
    from triptych.schemas.errors import UsageError
    from triptych.units import NS_PER_MS

    if empty := [text for text in texts if not text.strip()]:
        raise UsageError(f"TEXT: expected words, got {empty[0]!r}")
    if not clip.is_file():
        raise UsageError(f"CLIP: expected a media file, got {clip}, which is none")
    window_ns = window_ms * NS_PER_MS
    space = build_semantic_space(cache_folder(), frames=_FRAMES)
    text_vectors = space.embed_texts(texts)
    with Console(stderr=True).status("embedding the clip"):
        embedded = list(_embedded_windows(clip, space, window_ns))
    if not embedded:
        raise UsageError(f"{clip}: expected video, audio or subtitles, found none")
    vectors = [one.vectors for one in embedded]
    for text, vector in zip(texts, text_vectors, strict=True):
        best = [_Row(text, embedded[score.window], score) for score in rank_windows(vector, vectors)[:top]]
        (_print_json if as_json else _print_table)(best)


@dataclass(frozen=True, slots=True)
class _EmbeddedWindow:
    """The times of a window and of its frames in seconds from the start of the clip, its words, and its vectors."""

    start_s: float
    end_s: float
    frames_s: tuple[float, ...]
    words: str
    vectors: WindowVectors | None


@dataclass(frozen=True, slots=True)
class _Row:
    """A window in the ranking of a text."""

    text: str
    window: _EmbeddedWindow
    score: WindowScore

    @property
    def at_s(self) -> float | None:
        """Return the time of the nearest frame."""
        return None if self.score.frame is None else self.window.frames_s[self.score.frame]


def _embedded_windows(clip: Path, space: JointSpace, window_ns: int) -> Iterator[_EmbeddedWindow]:
    """Yield the windows of a clip in order. Only a batch of them is in memory with its pictures."""
    from triptych.models.base import base_spec
    from triptych.training.data.clip_records import clip_records
    from triptych.training.data.window_preparation import prepared_windows
    from triptych.worker.alignment.config import AlignConfig

    begin_ns = _FIRST_WINDOW * window_ns
    config = AlignConfig(size_ns=window_ns, hop_ns=window_ns)
    prepared = prepared_windows(clip_records(clip, begin_ns), config, base_spec(_FRAMES))
    windows = (one.window for one in prepared if not one.window.is_empty)
    while batch := list(islice(windows, _BATCH)):
        for window, vectors in zip(batch, space.embed_windows(batch), strict=True):
            yield _embedded_window(window, vectors, begin_ns)


def _embedded_window(window: PreparedWindow, vectors: WindowVectors | None, begin_ns: int) -> _EmbeddedWindow:
    from triptych.units import NS_PER_S

    def seconds(time_ns: int) -> float:
        return (time_ns - begin_ns) / NS_PER_S

    return _EmbeddedWindow(
        seconds(window.start_ns),
        seconds(window.end_ns),
        tuple(seconds(time_ns) for time_ns in window.frame_times_ns),
        " ".join(" ".join(cue.text.split()) for cue in window.cues),
        vectors,
    )


def _print_json(rows: Sequence[_Row]) -> None:
    for row in rows:
        scores: dict[str, Any] = {
            name: None if (value := getattr(row.score, name)) is None else round(value, 4)
            for name in ("best", "video", "audio", "subtitles", "fused")
        }
        times = {"start_s": row.window.start_s, "end_s": row.window.end_s, "frame_s": row.at_s}
        typer.echo(json.dumps({"text": row.text, **times, **scores, "words": row.window.words}, ensure_ascii=False))


def _print_table(rows: Sequence[_Row]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=rows[0].text if rows else None, title_justify="left", box=SIMPLE_HEAD)
    for heading in ("window", "best", "video", "audio", "words", "fused", "frame"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("cues")
    for row in rows:
        score = row.score
        numbers = (score.best, score.video, score.audio, score.subtitles, score.fused)
        table.add_row(
            f"{row.window.start_s:.1f}-{row.window.end_s:.1f} s",
            *("-" if number is None else f"{number:.2f}" for number in numbers),
            "-" if row.at_s is None else f"{row.at_s:.1f} s",
            shorten(row.window.words, _SHOWN_CHARS, placeholder=" …"),
        )
    Console().print(table)
