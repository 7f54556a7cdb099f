"""Hand-written logs, with times in seconds, and the decisions of an aligner for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from triptych.units import NS_PER_S
from triptych.worker.alignment.aligner import Aligner
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow, Decision, Forgotten, LateItem
from triptych.worker.alignment.entry import READING_ORDER, Entry, Kind
from triptych.worker.alignment.merge import QUERY_DELAY_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from triptych.schemas.names import Modality
    from triptych.worker.alignment.snapshot import Snapshot

CONFIG: Final = AlignConfig()
BY_ARRIVAL: Final = AlignConfig(pause_ns=CONFIG.idle_timeout_ns)
"""Every silence counts in full towards idleness, so that a log needs no record every `pause`."""


def ns(seconds: float) -> int:
    """Return seconds as nanoseconds."""
    return round(seconds * NS_PER_S)


class Script:
    """A builder of a log. Each call appends one record; offsets and `seq` are numbered automatically.

    The default `watermark` of an item is its end. All other fields of `Entry` can be passed by name.
    """

    def __init__(self, *tracks: Modality, stream: str = "city") -> None:
        """Start a log whose records announce `tracks`."""
        self.entries: list[Entry] = []
        self._tracks = tracks
        self._stream = stream
        self._seqs: dict[tuple[object, ...], int] = {}

    def video(self, start: float, *, at: float, watermark: float | None = None, **others: Any) -> Entry:  # noqa: ANN401
        """Append a frame."""
        return self._media("video", ns(start), ns(start) + 1, at, watermark, others)

    def audio(
        self,
        start: float,
        end: float,
        *,
        at: float,
        watermark: float | None = None,
        **others: Any,  # noqa: ANN401
    ) -> Entry:
        """Append a chunk."""
        return self._media("audio", ns(start), ns(end), at, watermark, others)

    def cue(
        self,
        start: float,
        end: float,
        *,
        at: float,
        watermark: float | None = None,
        **others: Any,  # noqa: ANN401
    ) -> Entry:
        """Append a cue."""
        return self._media("subtitles", ns(start), ns(end), at, watermark, others)

    def progress(self, modality: Modality, start: float, *, at: float, watermark: float, **others: Any) -> Entry:  # noqa: ANN401
        """Append a progress record of a silent track."""
        return self._append(modality, Kind.PROGRESS, at, watermark, {"start_ns": ns(start), **others})

    def end(self, modality: Modality, start: float, *, at: float, **others: Any) -> Entry:  # noqa: ANN401
        """Append the end of a track."""
        return self._append(modality, Kind.END, at, start, {"start_ns": ns(start), **others})

    def dead(self, modality: Modality, *, at: float, **others: Any) -> Entry:  # noqa: ANN401
        """Append a record that cannot be decoded."""
        return self._append(modality, Kind.DEAD, at, 0, others)

    def _media(
        self, modality: Modality, start_ns: int, end_ns: int, at: float, watermark: float | None, others: dict[str, Any]
    ) -> Entry:
        track = (others.get("stream", self._stream), others.get("session", "s"), modality)
        self._seqs[track] = self._seqs.get(track, -1) + 1
        fields = {"start_ns": start_ns, "end_ns": end_ns, "seq": self._seqs[track], "size_bytes": 10, **others}
        return self._append(modality, Kind.MEDIA, at, end_ns / NS_PER_S if watermark is None else watermark, fields)

    def _append(self, modality: Modality, kind: Kind, at: float, watermark: float, fields: dict[str, Any]) -> Entry:
        fields = {
            "stream": self._stream,
            "session": "s",
            "tracks": self._tracks,
            "watermark_ns": ns(watermark),
            "offset": sum(entry.modality == modality for entry in self.entries),
            **fields,
        }
        entry = Entry(modality=modality, kind=kind, arrival_ns=ns(at), **fields)
        self.entries.append(entry)
        return entry


class Reading:
    """An aligner that is driven by hand: `read` adds records, `ask` answers an end-offset query."""

    def __init__(
        self,
        config: AlignConfig = CONFIG,
        *,
        start: Mapping[Modality, int] | None = None,
        restored: Mapping[str, Snapshot] | None = None,
    ) -> None:
        """Start at the offsets of `start`, by default at the beginning of the log."""
        self.positions: dict[Modality, int] = dict(start or dict.fromkeys(READING_ORDER, 0))
        self.aligner = Aligner(config, self.positions, restored)
        self._at_ns = 0

    def read(self, *entries: Entry) -> list[Decision]:
        """Add records without an end-offset query. Return the decisions."""
        for entry in entries:
            self.positions[entry.modality] = entry.offset + 1
        self._at_ns += QUERY_DELAY_NS
        self.aligner.add_records(entries, self.positions, at_ns=self._at_ns)
        return list(self.aligner.advance())

    def ask(self, clock_s: float, at_end: Iterable[Modality] = READING_ORDER) -> list[Decision]:
        """Report `at_end` as read to their end, at the time that moves the arrival clock to `clock_s`."""
        self._at_ns += QUERY_DELAY_NS
        self.aligner.confirm_at_end(at_end, at_ns=self._at_ns, wall_ns=ns(clock_s) + CONFIG.clock_margin_ns)
        return list(self.aligner.advance())


def decide(entries: Sequence[Entry], *, until: float, config: AlignConfig = CONFIG) -> list[Decision]:
    """Return the decisions for a log up to the arrival clock `until`."""
    reading = Reading(config)
    arrived = [entry for entry in entries if entry.arrival_ns <= ns(until)]
    return [
        *reading.read(*arrived),
        *reading.ask(until),
        *reading.ask(until),
    ]  # the first query takes the records, the second one advances the clock


def closed(decisions: Iterable[Decision]) -> list[tuple[float, float, str]]:
    """Return start and end, in seconds, and `closed_by` of each closed window."""
    return [
        (decision.start_ns / NS_PER_S, decision.end_ns / NS_PER_S, decision.closed_by)
        for decision in decisions
        if isinstance(decision, ClosedWindow)
    ]


def windows(decisions: Iterable[Decision]) -> dict[float, ClosedWindow]:
    """Return the closed windows by their start in seconds."""
    return {decision.start_ns / NS_PER_S: decision for decision in decisions if isinstance(decision, ClosedWindow)}


def late(decisions: Iterable[Decision]) -> list[Entry]:
    """Return the late items."""
    return [decision.entry for decision in decisions if isinstance(decision, LateItem)]


def forgotten(decisions: Iterable[Decision]) -> list[str]:
    """Return the forgotten streams."""
    return [decision.stream for decision in decisions if isinstance(decision, Forgotten)]


def offsets(items: Iterable[Entry]) -> list[int]:
    """Return the offsets of items."""
    return [item.offset for item in items]
