"""The report of a soak test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.e2e.programs import Finished, Installation
from tests.live_soak.connections import Break
from tests.live_soak.findings import Gap, all_outputs, find_gaps, is_logged, places_of, read_inputs, states_of
from tests.live_soak.memory import Memory
from triptych.schemas.records import InputRecord
from triptych.schemas.results import Result

MOST_GROWTH_BYTES: Final = 20_000_000
FEWEST_BREAKS: Final = 3
_MB: Final = 1_000_000
_STDERR_TAIL: Final = 2_000


@dataclass(frozen=True, slots=True)
class Soak:
    """The outcome of a soak test. `login` is the user and the password that must not leak."""

    installation: Installation
    producer: Finished
    worker: Finished
    breaks: Sequence[Break]
    memories: Sequence[Memory]
    texts: dict[str, str]
    login: tuple[str, str]


def report(soak: Soak, console: Console) -> int:
    """Print the outcome. Return 1 if there are problems, otherwise 0."""
    inputs = read_inputs(soak.installation)
    results = soak.installation.in_topic()
    problems = [
        *_streams(soak, inputs, results, console),
        *_memory(soak.memories, console),
        *_secrets(soak, console),
        *_exits(soak),
    ]
    for problem in problems:
        console.print(f"PROBLEM: {problem}", style="red", markup=False)
    if not problems:
        console.print("No problems found.", style="green")
    return 1 if problems else 0


def _exits(soak: Soak) -> Iterable[str]:
    for one in (soak.producer, soak.worker):
        if one.exit_code:
            yield f"{one.args[0]} exited with {one.exit_code}; the end of its stderr:\n{one.err[-_STDERR_TAIL:]}"


def _streams(
    soak: Soak, inputs: dict[str, list[InputRecord]], results: Sequence[Result], console: Console
) -> Iterable[str]:
    """Print results, faults and gaps of each stream. Yield problems."""
    gaps = _gaps(soak.producer)
    lost = Counter(event["stream"] for event in soak.producer.events("source_lost"))
    states = states_of(results)
    table = Table(title="Streams", title_justify="left")
    for name in (
        "stream",
        "results",
        "with video",
        "with audio",
        "sessions",
        "breaks",
        "lost",
        "gaps logged",
        "gaps found",
    ):
        table.add_column(name, justify="left" if name == "stream" else "right")
    for stream, records in sorted(inputs.items()):
        found_gaps = find_gaps(stream, records)
        not_logged = [found_gap for found_gap in found_gaps if not is_logged(found_gap, gaps)]
        kinds = [one.kind for one in soak.breaks if one.stream == stream]
        logged = sum(gap["stream"] == stream for gap in gaps)
        counts = states.get(stream, Counter[str]())
        table.add_row(
            stream,
            str(counts["results"]),
            str(counts["video present"] + counts["video held"]),
            str(counts["audio present"]),
            str(len({record.session for record in records})),
            f"{len(kinds)} ({', '.join(kinds)})" if kinds else "none",
            str(lost[stream]),
            str(logged),
            f"{len(found_gaps)}, {len(not_logged)} not logged",
        )
        yield from _stream_problems(stream, counts, kinds, not_logged)
    console.print(table)
    repeated = [name for name, count in Counter(result.id for result in results).items() if count > 1]
    if repeated:
        yield f"published twice: {repeated}"


def _stream_problems(
    stream: str, counts: Counter[str], kinds: Sequence[str], not_logged: Sequence[Gap]
) -> Iterable[str]:
    if not counts["video present"] or not counts["audio present"]:
        yield f"{stream}: no results with video and audio"
    if kinds and len(kinds) < FEWEST_BREAKS:
        yield f"{stream}: its connection was broken only {len(kinds)} times"
    for found_gap in not_logged:
        yield f"{stream}: a gap from {found_gap.from_ns} to {found_gap.to_ns} is not in the log"


def _gaps(producer: Finished) -> list[dict[str, Any]]:
    """Return the gaps in the log, including those between two sessions of one connection."""
    splits = producer.events("session_split")
    return [
        *producer.events("source_gap"),
        *({**one, "from_ns": one["ended_ns"], "to_ns": one["begins_ns"]} for one in splits),
    ]


def _memory(memories: Sequence[Memory], console: Console) -> Iterable[str]:
    """Print the memory of each process; short-lived ones only as a total. Yield problems."""
    table = Table(title="Memory (resident, MB)", title_justify="left")
    for name in ("process", "lived", "after 1 min", "peak after it", "growth"):
        table.add_column(name, justify="left" if name == "process" else "right")
    short = [memory for memory in memories if memory.growth_bytes is None]
    for memory in memories:
        settled, growth = memory.settled_bytes, memory.growth_bytes
        if settled is None or growth is None:
            continue
        sizes = [f"{size / _MB:.1f}" for size in (settled, memory.peak_bytes, growth)]
        table.add_row(memory.name, f"{memory.lived_s:.0f} s", *sizes)
        if growth > MOST_GROWTH_BYTES:
            yield f"{memory.name} grew by {growth / _MB:.1f} MB after its first minute"
    console.print(table)
    if short:
        most = max(memory.peak_bytes for memory in short) / _MB
        console.print(f"{len(short)} processes of feeds lived for less than a minute; the largest had {most:.1f} MB.")


def _secrets(soak: Soak, console: Console) -> Iterable[str]:
    """Search all outputs for the password. Yield problems."""
    user, password = soak.login
    texts = all_outputs(soak.installation, soak.texts)
    places = places_of([password], user, texts)
    addresses = places_of(["rtsp://127.0.0.1"], user, texts)
    size = sum(map(len, texts.values())) / _MB
    console.print(
        f"Searched {len(texts)} places, {size:.0f} MB: records with headers, Redis, logs, metrics. The cameras' address"
        f" is in {len(addresses)} of them, the password in {len(places)}."
    )
    if places:
        yield f"the password is in {places[:10]}"
    if not addresses:
        yield "the search does not even find the cameras' address, which is public"
