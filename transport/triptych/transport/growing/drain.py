"""Whether the workers of a pipeline have published all windows of what was sent.

Committed offsets do not tell it: the last records of a stream stay uncommitted until it is forgotten, and media of
windows that may be revised longer. So this compares what the input topics hold with the state in the results: the next
window of a stream to close must begin after the newest media of the stream.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from triptych.schemas.codec import decode, decode_result
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import INPUT_TOPICS, MODALITY_OF, STATE_HEADER, consumer_group, results_topic
from triptych.schemas.records import AudioChunk, End, MediaRecord, VideoFrame
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Commit, Record, TopicPartition

_POLL_S: Final = 0.2
_MAX_SILENCE_S: Final = 30.0
_MARGIN_NS: Final = 60_000_000_000
"""Allowance for clock differences, and for the time from a decision to its append."""
Progress = Callable[[int, int], None]
"""Called with the number of offsets read and the total."""

_TIME_RANGE_KEY: Final = '{"triptych-span"'
"""How the metadata of a commit begins if the pipeline reprocesses a time range."""


@dataclass(slots=True)
class SentMedia:
    """What the input topics hold of one stream, of which workers may still owe windows.

    Attributes:
        told_ns: up to which event time its media goes. Silence closes all windows that begin before (rule 6a).
        has_media: whether there is media; other records alone open no window.
        ended: of each topic, whether the newest record ends the track.
        arrival_ns: arrival time of the newest record.
    """

    told_ns: int
    has_media: bool
    ended: dict[str, bool]
    arrival_ns: int


@dataclass(frozen=True, slots=True)
class DrainRules:
    """The settings of alignment that decide which windows a worker owes, in nanoseconds."""

    stream_ttl_ns: int
    max_future_ns: int
    size_ns: int


def show_nothing(_done: int, _total: int) -> None:
    """Show nothing."""


def read_to(
    transport: Transport, begins: Mapping[TopicPartition, int], progress: Progress = show_nothing
) -> Iterator[Record]:
    """Read partitions from these offsets to their present ends. Blocks.

    Raises:
        BrokerUnavailableError: no record came for 30 s.
    """
    if not begins:
        return
    with closing(transport.reader(dict(begins))) as reader:
        oldest, ends = reader.begin_offsets(begins), reader.end_offsets(begins)
        for tp, offset in begins.items():
            reader.seek(tp, max(offset, oldest[tp]))
        yield from _read_to(reader, ends, progress)


def newest_sent(
    transport: Transport, tps: Iterable[TopicPartition], rules: DrainRules, *, now_ns: int, progress: Progress
) -> dict[str, SentMedia]:
    """Return what the input topics hold of each stream whose newest windows may not be over. Blocks.

    A record whose window is not over arrived within the length of a window, but for the difference of clocks.
    """
    wanted = dict.fromkeys(tps, max(0, now_ns - rules.size_ns - _MARGIN_NS))
    with closing(transport.reader(dict.fromkeys(wanted, 0))) as reader:
        begins = reader.offsets_for_times(wanted)
    return sent_media(read_to(transport, begins, progress), rules.max_future_ns)


def sent_media(records: Iterable[Record], max_future_ns: int) -> dict[str, SentMedia]:
    """Return what records of the input topics hold of each stream. Records that a worker would refuse do not count."""
    found: dict[str, SentMedia] = {}
    for record in records:
        try:
            decoded = decode(record.key, record.value, record.headers, modality=MODALITY_OF[record.topic])
        except MalformedRecordError:
            continue
        if decoded.start_ns > record.arrival_ns + max_future_ns:
            continue
        sent = found.setdefault(decoded.stream, SentMedia(0, has_media=False, ended={}, arrival_ns=0))
        sent.told_ns = max(sent.told_ns, _told_ns(decoded))
        sent.has_media |= isinstance(decoded, MediaRecord)
        sent.ended[record.topic] = isinstance(decoded, End)
        sent.arrival_ns = max(sent.arrival_ns, record.arrival_ns)
    return found


class PipelineDrain:
    """Follows how the workers of one pipeline publish the windows of what was sent before."""

    def __init__(
        self,
        transport: Transport,
        pipeline: str,
        counts: Mapping[str, int],
        *,
        rules: DrainRules,
        progress: Progress | None,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Read what the group has not committed, and the results since then. Blocks.

        Args:
            transport: the installation.
            pipeline: whose workers to follow.
            counts: the number of partitions of each topic.
            rules: as the workers have them.
            progress: told how much of the inputs is read, which may be days of media. None: none of it is read, and
                nothing counts as waiting.
            wall_ns: the wall clock, in nanoseconds.
        """
        self.pipeline = pipeline
        self._ends_ns: dict[str, int] = {}
        self._next_window_ns: dict[str, int] = {}
        self._sent: dict[str, SentMedia] = {}
        inputs = partitions_of(INPUT_TOPICS, counts)
        with closing(transport.group_consumer(INPUT_TOPICS, consumer_group(pipeline))) as consumer:
            commits = {tp: commit for tp, commit in consumer.committed(inputs).items() if commit is not None}
        self.note = _note(commits)
        """Why the pipeline is not waited for; empty if it is."""
        self._oldest_ns = wall_ns()
        if not self.note and progress is not None:
            begins = {tp: commits[tp].offset if tp in commits else 0 for tp in inputs}
            self._sent = sent_media(self._noting(read_to(transport, begins, progress)), rules.max_future_ns)
        # As a worker restores: the last result of each stream that matters is among these (rules 19 and 20).
        since_ns = max(0, self._oldest_ns - rules.stream_ttl_ns - _MARGIN_NS)
        results = partitions_of([results_topic(pipeline)], counts)
        self._reader = transport.reader(dict.fromkeys(results, 0))
        try:
            for tp, offset in self._reader.offsets_for_times(dict.fromkeys(results, since_ns)).items():
                self._reader.seek(tp, offset)
            for record in _read_to(self._reader, self._reader.end_offsets(results), show_nothing):
                self._take(record)
        except BaseException:
            self._reader.close()
            raise

    @property
    def streams(self) -> frozenset[str]:
        """The streams that are known."""
        return frozenset(self._sent) | frozenset(self._next_window_ns)

    @property
    def newest_ends_ns(self) -> tuple[int, ...]:
        """The end of the newest published window of each stream, in event time."""
        return tuple(self._ends_ns.values())

    def waiting(self) -> tuple[str, ...]:
        """Return the streams of which windows are still to be published, sorted. Blocks for a moment."""
        for record in self._reader.poll(_POLL_S).records:
            self._take(record)
        return tuple(sorted(stream for stream, sent in self._sent.items() if self._owes(stream, sent)))

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()

    def _owes(self, stream: str, sent: SentMedia) -> bool:
        next_window_ns = self._next_window_ns.get(stream)
        if next_window_ns is None:
            return sent.has_media
        return next_window_ns < sent.told_ns

    def _take(self, record: Record) -> None:
        try:
            result = decode_result(record.key, record.value, record.headers)
        except MalformedRecordError:
            return
        next_window_ns = max(self._next_window_ns.get(result.stream, 0), _next_window_ns(record) or result.end_ns)
        self._next_window_ns[result.stream] = next_window_ns
        self._ends_ns[result.stream] = max(self._ends_ns.get(result.stream, 0), result.end_ns)

    def _noting(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            self._oldest_ns = min(self._oldest_ns, record.arrival_ns)
            yield record


def partitions_of(topics: Iterable[str], counts: Mapping[str, int]) -> list[TopicPartition]:
    """Return all partitions of topics that have these numbers of them."""
    return [TopicPartition(topic, number) for topic in topics for number in range(counts[topic])]


def _read_to(reader: Reader, ends: Mapping[TopicPartition, int], progress: Progress) -> Iterator[Record]:
    deadline_s = time.monotonic() + _MAX_SILENCE_S
    unread = total = _unread(reader, ends)
    while unread:
        records = reader.poll(_POLL_S).records
        yield from records
        unread = _unread(reader, ends)
        progress(total - unread, total)
        if records:
            deadline_s = time.monotonic() + _MAX_SILENCE_S
        elif time.monotonic() >= deadline_s:
            raise BrokerUnavailableError(f"no record came for {_MAX_SILENCE_S:g} s")


def _unread(reader: Reader, ends: Mapping[TopicPartition, int]) -> int:
    return sum(max(0, end - reader.position(tp)) for tp, end in ends.items())


def _told_ns(decoded: object) -> int:
    """Return up to when a record tells of its stream, as alignment rule 6a defines it."""
    match decoded:
        case VideoFrame():
            return decoded.start_ns + 1
        case AudioChunk():
            return decoded.end_ns
        case End():
            return 0
        case _:
            return int(decoded.start_ns)  # type: ignore[attr-defined] # every record has it


def _next_window_ns(record: Record) -> int | None:
    """Return the start of the next window of a stream to close, from the state in its result; None without a state."""
    try:
        return int(json.loads(dict(record.headers)[STATE_HEADER])["floor"])
    except (KeyError, ValueError, TypeError, RecursionError):
        return None


def _note(commits: Mapping[TopicPartition, Commit]) -> str:
    if not commits:
        return "no worker of it has committed anything"
    if any(commit.metadata.startswith(_TIME_RANGE_KEY) for commit in commits.values()):
        return "it reprocesses a time range"
    return ""
