"""The tables at the end of a soak, and whether all is as it should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.e2e.programs import Finished, Installation
from tests.live_soak.connections import Break
from tests.live_soak.findings import Hole, everything_told, holes_in, is_named, places_of, read_inputs, states_of
from tests.live_soak.memory import Memory
from triptych.schemas.records import InputRecord
from triptych.schemas.results import Result

MOST_GROWTH_BYTES: Final = 20_000_000
FEWEST_BREAKS: Final = 3
_MB: Final = 1_000_000
_LAST_WORDS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Soak:
    """What a soak left behind; `login` is the user and the password that nobody may tell."""

    installation: Installation
    producer: Finished
    worker: Finished
    breaks: Sequence[Break]
    memories: Sequence[Memory]
    said: dict[str, str]
    login: tuple[str, str]


def report(soak: Soak, console: Console) -> int:
    """Print what was found; return 1 where something is not as it should be."""
    inputs = read_inputs(soak.installation)
    results = soak.installation.in_topic()
    troubles = [
        *_streams(soak, inputs, results, console),
        *_memory(soak.memories, console),
        *_secrets(soak, console),
        *_exits(soak),
    ]
    for trouble in troubles:
        console.print(f"NOT AS IT SHOULD BE: {trouble}", style="red", markup=False)
    if not troubles:
        console.print("All is as it should be.", style="green")
    return 1 if troubles else 0


def _exits(soak: Soak) -> Iterable[str]:
    for one in (soak.producer, soak.worker):
        if one.exit_code:
            yield f"{one.args[0]} exited with {one.exit_code}; the end of what it said:\n{one.err[-_LAST_WORDS:]}"


def _streams(
    soak: Soak, inputs: dict[str, list[InputRecord]], results: Sequence[Result], console: Console
) -> Iterable[str]:
    """Print results, breaks and holes of each stream."""
    gaps = _gaps(soak.producer)
    lost = Counter(event["stream"] for event in soak.producer.events("source_lost"))
    states = states_of(results)
    table = Table(title="Streams", title_justify="left")
    for name in (
        "stream",
        "results",
        "with picture",
        "with sound",
        "sessions",
        "breaks",
        "lost",
        "gaps named",
        "holes",
    ):
        table.add_column(name, justify="left" if name == "stream" else "right")
    for stream, records in sorted(inputs.items()):
        holes = holes_in(stream, records)
        unnamed = [hole for hole in holes if not is_named(hole, gaps)]
        kinds = [one.kind for one in soak.breaks if one.stream == stream]
        named = sum(gap["stream"] == stream for gap in gaps)
        counts = states.get(stream, Counter[str]())
        table.add_row(
            stream,
            str(counts["results"]),
            str(counts["video present"] + counts["video held"]),
            str(counts["audio present"]),
            str(len({record.session for record in records})),
            f"{len(kinds)} ({', '.join(kinds)})" if kinds else "none",
            str(lost[stream]),
            str(named),
            f"{len(holes)}, {len(unnamed)} unnamed",
        )
        yield from _stream_troubles(stream, counts, kinds, unnamed)
    console.print(table)
    repeated = [name for name, count in Counter(result.id for result in results).items() if count > 1]
    if repeated:
        yield f"published twice: {repeated}"


def _stream_troubles(stream: str, counts: Counter[str], kinds: Sequence[str], unnamed: Sequence[Hole]) -> Iterable[str]:
    if not counts["video present"] or not counts["audio present"]:
        yield f"{stream}: no results with picture and sound"
    if kinds and len(kinds) < FEWEST_BREAKS:
        yield f"{stream}: broken only {len(kinds)} times"
    for hole in unnamed:
        yield f"{stream}: nothing is known from {hole.from_ns} to {hole.to_ns}, and no line of the log says so"


def _gaps(producer: Finished) -> list[dict[str, Any]]:
    """Return the gaps that the log names, those between the sessions of an unbroken connection included."""
    splits = producer.events("session_split")
    return [
        *producer.events("source_gap"),
        *({**one, "from_ns": one["ended_ns"], "to_ns": one["begins_ns"]} for one in splits),
    ]


def _memory(memories: Sequence[Memory], console: Console) -> Iterable[str]:
    """Print what each process held; one that lived for less than a minute and a half is only counted."""
    table = Table(title="Memory (resident, MB)", title_justify="left")
    for name in ("process", "lived", "after 1 min", "most after it", "growth"):
        table.add_column(name, justify="left" if name == "process" else "right")
    short = [memory for memory in memories if memory.growth_bytes is None]
    for memory in memories:
        settled, growth = memory.settled_bytes, memory.growth_bytes
        if settled is None or growth is None:
            continue
        sizes = [f"{size / _MB:.1f}" for size in (settled, memory.most_bytes, growth)]
        table.add_row(memory.name, f"{memory.lived_s:.0f} s", *sizes)
        if growth > MOST_GROWTH_BYTES:
            yield f"{memory.name} grew by {growth / _MB:.1f} MB after its first minute"
    console.print(table)
    if short:
        most = max(memory.most_bytes for memory in short) / _MB
        console.print(f"{len(short)} processes of feeds lived for less than a minute; the largest held {most:.1f} MB.")


def _secrets(soak: Soak, console: Console) -> Iterable[str]:
    """Search everything that was told for the password."""
    user, password = soak.login
    texts = everything_told(soak.installation, soak.said)
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
        yield "the search finds not even what everybody may know"
