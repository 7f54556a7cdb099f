"""The cost of a record: `decode`, `aligner` and `decode-aligner`."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.alignment import POLL_RECORDS, aligned, log, plainly_aligned
from benchmarks.frame import Benchmark, Cost, in_child, measured
from benchmarks.suite import Size
from tests.worker.world import Feed, jpeg, wav
from triptych.schemas.codec import decode, decode_checked, encode
from triptych.schemas.names import MODALITY_OF, TOPIC_OF
from triptych.transport.records import Record
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.entry import READING_ORDER
from triptych.worker.partitions.partition import PartitionSet

COMPILED: Final = Path(__file__).parents[2] / "build" / "compiled"
"""Where `make bench` has compiled the aligner (`tools/compiled.py`)."""

_CHILD: Final = "benchmarks.suite.compiled_child"
_COMPILED: Final = "compiled, 100 streams"
_SMALL_POLL: Final = 20
_STREAMS: Final = (1, 100, 10_000)


def decode_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of the codec."""
    records = _records(streams=10, seconds=size(100, 2))
    documents = _documents(records)

    def plain() -> float:
        for record in records:
            decode(record.key, record.value, record.headers)
        return len(records)

    def checked() -> float:
        for record in records:
            decode_checked(record.key, record.value, record.headers, None)
        return len(records)

    return Benchmark(
        "decode",
        "What does it cost to decode a record of the contract?",
        "record",
        {
            f"{_parser_name()} and append": lambda: measured(lambda: _parse(documents)),
            "our codec": lambda: measured(plain),
            "our codec, every check in pydantic": lambda: measured(checked),
        },
        limit=f"{_parser_name()} and append",
        ours="our codec",
        goal=3.0,
        cpu_goals_us={"our codec": 8},
        note="The limit parses the same headers as one JSON document, without any check.",
    )


def aligner_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of alignment alone, by the number of streams."""
    logs = {streams: log(streams, max(2, size(20_000, 60) // streams // 6)) for streams in _STREAMS[: size(3, 2)]}
    first = logs[_STREAMS[0]]

    def run(entries: Sequence[object], align: Callable[[Sequence[object]], int]) -> Cost:
        def work() -> float:
            align(entries)
            return len(entries)

        return measured(work)

    contenders = {"a dict of windows, 1 stream": lambda: run(first, plainly_aligned)}
    for streams, entries in logs.items():
        contenders[f"our aligner, {streams:,} stream{'s' * (streams > 1)}"] = lambda e=entries: run(e, aligned)
    if COMPILED.is_dir():
        contenders[_COMPILED] = lambda: aligned_by_compiled(streams=100, seconds=size(33, 2))
    return Benchmark(
        "aligner",
        "What does it cost to align a record, from its entry to its window?",
        "record",
        contenders,
        limit="a dict of windows, 1 stream",
        ours="our aligner, 100 streams",
        goal=2.7,
        cpu_goals_us={"our aligner, 100 streams": 8, **({_COMPILED: 4} if COMPILED.is_dir() else {})},
        forbids="calls of Python",
        note=f"Polls of {POLL_RECORDS} records. The limit knows no sessions, late records or idle tracks. Compiled: "
        "with mypyc (`tools/compiled.py`).",
    )


def aligned_by_compiled(streams: int, seconds: int) -> Cost:
    """Align the records of so many live streams with the compiled aligner, in a process of its own."""
    path = os.pathsep.join([str(COMPILED), *sys.path])
    return in_child(_CHILD, str(streams), str(seconds), environ={"PYTHONPATH": path})


def decode_aligner_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of both together, from a polled record to its window."""
    records = _records(streams=10, seconds=size(100, 2))
    documents = _documents(records)
    return Benchmark(
        "decode-aligner",
        "What does it cost to decode and align a record?",
        "record",
        {
            f"{_parser_name()} and append": lambda: measured(lambda: _parse(documents)),
            "decode and align": lambda: measured(lambda: _align(records, POLL_RECORDS)),
            f"decode and align, polls of {_SMALL_POLL}": lambda: measured(lambda: _align(records, _SMALL_POLL)),
        },
        limit=f"{_parser_name()} and append",
        ours="decode and align",
        goal=5.0,
        cpu_goals_us={"decode and align": 16},
    )


def _records(streams: int, seconds: int) -> list[Record]:
    """Return the records of all streams as polled, in the order of arrival."""
    image, sound = jpeg(), wav(0.5)
    feeds = [Feed(f"feed-{number}", tracks=("video", "audio", "subtitles")) for number in range(streams)]
    played = []
    for second in range(seconds):
        for feed in feeds:
            if second % 2 == 0:
                played.append(feed.cue(second, second + 1, f"words at {second}", second + 2))
            for half in (second, second + 0.5):
                played += [feed.frame(half, image), feed.chunk(half, sound), feed.frame(half + 0.25, image)]
    records, offsets = [], dict.fromkeys(READING_ORDER, 0)
    for record in played:
        wire = encode(record)
        topic = TOPIC_OF[record.modality]
        offset, offsets[record.modality] = offsets[record.modality], offsets[record.modality] + 1
        records.append(
            Record(topic, 0, offset, record.start_ns + 500_000_000, wire.key, wire.value, tuple(wire.headers))
        )
    return records


def _align(records: Sequence[Record], poll_records: int) -> float:
    """Decode and align the records as a worker does, without publication."""
    positions = dict.fromkeys(READING_ORDER, 0)
    config = AlignConfig(partition_max_bytes=1 << 40, stream_max_bytes=1 << 40)
    partition_set = PartitionSet(0, config, positions, partitions=1, restored={})
    for first in range(0, len(records), poll_records):
        polled = records[first : first + poll_records]
        for record in polled:
            positions[MODALITY_OF[record.topic]] = record.offset + 1
        partition_set.receive(polled, positions, at_ns=first)
        ends = {tp: positions[modality] for modality, tp in partition_set.tps.items()}
        partition_set.apply_end_offsets(ends, at_ns=first + 1, wall_ns=polled[-1].arrival_ns)
        while partition_set.decide() is not None:
            pass
    return len(records)


def _parser_name() -> str:
    try:
        import orjson  # noqa: F401, PLC0415 - optional
    except ModuleNotFoundError:
        return "json"
    return "orjson"


def _parse(documents: Sequence[tuple[bytes, bytes]]) -> float:
    """Parse a JSON document with the headers of each record, and append it to a list of its stream."""
    loads = json.loads
    if _parser_name() == "orjson":
        import orjson  # noqa: PLC0415 - optional

        loads = orjson.loads
    streams: defaultdict[bytes, list[object]] = defaultdict(list)
    for key, document in documents:
        streams[key].append(loads(document))
    return len(documents)


def _documents(records: Sequence[Record]) -> list[tuple[bytes, bytes]]:
    """Return the key of each record, and its headers as a JSON document."""
    return [
        (record.key or b"", json.dumps({name: (value or b"").decode() for name, value in record.headers}).encode())
        for record in records
    ]
