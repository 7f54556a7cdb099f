"""What producers sent and what is on the input topics, as items of the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.truth import Item, Place, Truth
from tests.e2e.programs import Finished, Installation, Program, wait_until
from triptych.producers.plans import SourceOptions, plans_for
from triptych.producers.session.playback import Playback
from triptych.schemas.codec import decode
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import MODALITIES, TOPIC_OF, Modality
from triptych.schemas.partition import partition_of
from triptych.schemas.records import AudioChunk, InputRecord, MediaRecord, SubtitleCue, VideoFrame

START: Final = "2026-01-01T00:00:00Z"
PARTITIONS: Final = 6
_STOP_LIMIT_S: Final = 120.0


def item_of(record: InputRecord) -> Item | None:
    """Return a picture, chunk or cue as an item of the truth; None for a control record."""
    if isinstance(record, VideoFrame):
        return Item(record.stream, "video", record.start_ns, record.start_ns + 1)
    if isinstance(record, AudioChunk | SubtitleCue):
        return Item(record.stream, record.modality, record.start_ns, record.end_ns)
    return None


@dataclass(slots=True)
class InputTopics:
    """What is on the input topics, without the records that a worker rejects when it reads them.

    Attributes:
        items: the items by their places.
        media: how many items each track has had, by stream and modality: its `seq` counts those that are missing too.
        records: how many records each stream has, control records included, each once.
    """

    items: dict[Place, Item] = field(default_factory=dict)
    media: Counter[tuple[str, Modality]] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)


def read_input_topics(installation: Installation) -> InputTopics:
    """Read the input topics to their ends."""
    topics, seen = InputTopics(), set[tuple[str, str]]()
    for modality in MODALITIES:
        for record in installation.each_record(TOPIC_OF[modality]):
            if record.key is None or record.partition != partition_of(record.key, PARTITIONS):
                continue
            try:
                decoded = decode(record.key, record.value, record.headers, modality=modality)
            except MalformedRecordError:
                continue
            topics.records[decoded.stream] += (decoded.stream, decoded.id) not in seen
            seen.add((decoded.stream, decoded.id))
            item = item_of(decoded)
            if item is not None and isinstance(decoded, MediaRecord):
                topics.items[Place(modality, record.partition, record.offset)] = item
                track = decoded.stream, modality
                topics.media[track] = max(topics.media[track], (decoded.seq or 0) + 1)
    return topics


class LoopedClip:
    """`triptych produce` with a clip that is played again and again at its own pace, as a live feed."""

    def __init__(self, installation: Installation, stream: str, clip: str, **variables: str) -> None:
        self.stream = stream
        self._clip = clip
        args = ("produce", clip, "--stream", stream, "--realtime", "--loop", "0", "--start-at", START)
        self.program = Program(args, installation.environ(**variables), installation.folder)
        self._ended: Finished | None = None

    def wait_until_played(self, direct: Installation) -> None:
        """Block until its first frame is on the topic. `direct` is the installation with direct connections."""

        def is_played() -> bool:
            if not self.program.is_running:
                raise RuntimeError(f"{self.stream} ended at once:\n{self.program.err}")
            key = self.stream.encode()
            return any(record.key == key for record in direct.each_record(TOPIC_OF["video"]))

        wait_until(is_played, f"the first frame of {self.stream}")

    def stop(self) -> Finished:
        """End the feed. Block until all that it sent is acknowledged."""
        self._ended = self.program.stop(limit_s=_STOP_LIMIT_S)
        return self._ended

    def truth(self, topics: InputTopics) -> Truth:
        """Return what it had to send: what the clip has, up to where it was stopped.

        How far each track came is told by the `seq` of its last record on the topics. The producer's own count says
        whether there should be more.
        """
        counts, found = self._counts(), topics.records[self.stream]
        said = f"{self.stream}: it said that it sent {counts['sent']} records, and {found} are on the topics"
        items = list(_first_items(self._clip, self.stream, topics.media))
        return Truth(items, {self.stream: counts["dropped"]}, () if found == counts["sent"] else (said,))

    def _counts(self) -> Mapping[str, int]:
        """Return what the producer said that it did."""
        if self._ended is None:
            raise RuntimeError(f"{self.stream} has not been stopped")
        stopped = self._ended.events("source_stopped")
        if not stopped:
            raise RuntimeError(f"{self.stream} did not say how much it had sent:\n{self._ended.err[-2_000:]}")
        return stopped[-1]


def _first_items(clip: str, stream: str, media: Mapping[tuple[str, Modality], int]) -> Iterator[Item]:
    """Yield the first items of each track of a clip in a loop."""
    left = {modality: media.get((stream, modality), 0) for modality in MODALITIES}
    cheap = SourceOptions(stream=stream, loops=0, start_at=START, height=16, quality=1)  # only the times matter
    [plan] = plans_for([clip], cheap)
    if plan.start_at_ns is None:
        raise RuntimeError(f"{START}: expected a time")
    with Playback(plan) as playback, closing(playback.records(plan.start_at_ns)) as records:  # type: ignore[type-var]
        for item in filter(None, map(item_of, records)):
            if left[item.modality]:
                left[item.modality] -= 1
                yield item
            if not any(left.values()):
                return
