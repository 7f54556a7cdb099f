"""Measures the records per second of alignment, compared with a plain dict of windows without its guarantees.

Run it with `python -m benchmarks.alignment [STREAMS] [SECONDS]`. All streams are live and on one partition. Each has
four frames and two audio chunks per second, and a cue every three seconds.
"""

from __future__ import annotations

import heapq
import sys
import time
from collections import defaultdict
from collections.abc import Iterator

from triptych.schemas.names import Modality
from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.alignment.aligner import Aligner
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow, LateItem
from triptych.worker.alignment.entry import READING_ORDER, Entry, Kind
from triptych.worker.partitions.offset_tracker import OffsetTracker

POLL_RECORDS = 500
TRACKS: dict[Modality, int] = {"video": 250 * NS_PER_MS, "audio": 500 * NS_PER_MS, "subtitles": 3 * NS_PER_S}


def track(stream: str, modality: Modality, seconds: int, begins_ns: int) -> Iterator[Entry]:
    """Yield the records of one live track, in the order of arrival."""
    step_ns = TRACKS[modality]
    for seq in range(seconds * NS_PER_S // step_ns):
        start_ns = begins_ns + seq * step_ns
        end_ns = start_ns + (1 if modality == "video" else step_ns)
        yield Entry(
            modality=modality,
            offset=0,
            arrival_ns=end_ns,
            stream=stream,
            kind=Kind.MEDIA,
            session="s",
            seq=seq,
            start_ns=start_ns,
            end_ns=end_ns,
            watermark_ns=start_ns + step_ns,
            tracks=("video", "audio", "subtitles"),
            size_bytes=20_000,
        )


def log(streams: int, seconds: int) -> list[Entry]:
    """Return the records of all streams, in the order of arrival, with the offsets of three partitions."""
    begin_ns = 1_767_225_600 * NS_PER_S
    tracks = [
        track(f"stream-{number}", modality, seconds, begin_ns + number * NS_PER_MS)
        for number in range(streams)
        for modality in TRACKS
    ]
    offsets = dict.fromkeys(READING_ORDER, 0)
    entries = []
    for entry in heapq.merge(*tracks, key=lambda entry: (entry.arrival_ns, entry.modality)):
        object.__setattr__(entry, "offset", offsets[entry.modality])
        offsets[entry.modality] += 1
        entries.append(entry)
    return entries


def aligned(entries: list[Entry], late: list[Entry] | None = None) -> int:
    """Return the number of windows that the aligner closes. Offsets are tracked, and computed once per poll.

    Records that come too late for their window are appended to `late`.
    """
    positions = dict.fromkeys(READING_ORDER, 0)
    config = AlignConfig(partition_max_bytes=1 << 40, stream_max_bytes=1 << 40)
    aligner, offset_tracker, windows = Aligner(config, positions), OffsetTracker(positions), 0
    for poll in range(0, len(entries), POLL_RECORDS):
        chunk = entries[poll : poll + POLL_RECORDS]
        for entry in chunk:
            positions[entry.modality] = entry.offset + 1
            offset_tracker.add(entry.modality, entry.offset, entry.stream)
        aligner.add_records(chunk, positions, at_ns=poll * NS_PER_S)
        aligner.confirm_at_end(READING_ORDER, at_ns=poll * NS_PER_S + NS_PER_S, wall_ns=chunk[-1].arrival_ns)
        for decision in aligner.advance():
            if isinstance(decision, ClosedWindow):
                windows += 1
                offset_tracker.complete(offset_tracker.await_result(decision.stream, decision.snapshot))
            elif isinstance(decision, LateItem) and late is not None:
                late.append(decision.entry)
        offset_tracker.committable()
    return windows


def plainly_aligned(entries: list[Entry]) -> int:
    """Return the number of windows that a dict of lists closes by the minimum watermark of three tracks."""
    size_ns, windows = 2 * NS_PER_S, 0
    windows_of: dict[str, dict[int, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    watermarks_ns: dict[str, dict[Modality, int]] = defaultdict(lambda: dict.fromkeys(READING_ORDER, 0))
    for entry in entries:
        stream = entry.stream or ""
        for index in range(entry.start_ns // size_ns, (entry.end_ns - 1) // size_ns + 1):
            windows_of[stream][index].append(entry)
        watermarks_ns[stream][entry.modality] = entry.watermark_ns
        watermark_ns = min(watermarks_ns[stream].values())
        for index in [index for index in windows_of[stream] if (index + 1) * size_ns <= watermark_ns]:
            windows_of[stream].pop(index).sort(key=lambda entry: (entry.modality, entry.start_ns))
            windows += 1
    return windows


def main() -> None:
    """Measure both and print the comparison."""
    streams, seconds = (int(argument) for argument in (*sys.argv[1:], "100", "100")[:2])
    entries = log(streams, seconds)
    took_s = {}
    for name, function in (("dict", plainly_aligned), ("aligner", aligned)):
        started_s = time.perf_counter()
        windows = function(entries)
        took_s[name] = time.perf_counter() - started_s
        each_us = took_s[name] / len(entries) * 1e6
        sys.stdout.write(
            f"{name:8} {len(entries) / took_s[name]:10,.0f} records/s {each_us:6.1f} µs each, {windows} windows\n"
        )
    sys.stdout.write(f"ratio    {took_s['aligner'] / took_s['dict']:10.1f}\n")


if __name__ == "__main__":
    main()
