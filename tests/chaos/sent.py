"""What producers sent and what is on the input topics, as items of the truth."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from tests.chaos.truth import Item, Place, Truth
from tests.e2e.programs import Finished, Installation, Program, wait_until
from triptych.producers.plans import SourceOptions, plans_for
from triptych.producers.session.playback import Playback
from triptych.schemas.codec import decode
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import MODALITIES, TOPIC_OF
from triptych.schemas.partition import partition_of
from triptych.schemas.records import AudioChunk, InputRecord, SubtitleCue, VideoFrame

START: Final = "2026-01-01T00:00:00Z"
PARTITIONS: Final = 6
_ENDS: Final = len(MODALITIES)
"""The records that end the tracks. They count as sent."""
_STOP_LIMIT_S: Final = 120.0


def item_of(record: InputRecord) -> Item | None:
    """Return a picture, chunk or cue as an item of the truth; None for a control record."""
    if isinstance(record, VideoFrame):
        return Item(record.stream, "video", record.start_ns, record.start_ns + 1)
    if isinstance(record, AudioChunk | SubtitleCue):
        return Item(record.stream, record.modality, record.start_ns, record.end_ns)
    return None


def items_on_topics(installation: Installation) -> dict[Place, Item]:
    """Return the items on the input topics by their places, without those that a worker rejects when it reads them."""
    found: dict[Place, Item] = {}
    for modality in MODALITIES:
        for record in installation.each_record(TOPIC_OF[modality]):
            if record.key is None or record.partition != partition_of(record.key, PARTITIONS):
                continue
            try:
                item = item_of(decode(record.key, record.value, record.headers, modality=modality))
            except MalformedRecordError:
                continue
            if item is not None:
                found[Place(modality, record.partition, record.offset)] = item
    return found


class LoopedClip:
    """`triptych produce` with a clip that is played again and again at its own pace, as a live feed."""

    def __init__(self, installation: Installation, stream: str, clip: str) -> None:
        self.stream = stream
        self._clip = clip
        args = ("produce", clip, "--stream", stream, "--realtime", "--loop", "0", "--start-at", START)
        self.program = Program(args, installation.environ(), installation.folder)
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

    def truth(self) -> Truth:
        """Return what it sent: what the clip has, up to the record at which it was stopped."""
        if self._ended is None:
            raise RuntimeError(f"{self.stream} has not been stopped")
        stopped = self._ended.events("source_stopped")
        if not stopped:
            raise RuntimeError(f"{self.stream} did not say how much it had sent:\n{self._ended.err[-2_000:]}")
        last = stopped[-1]
        read = last["sent"] + last["dropped"] - _ENDS
        return Truth(list(_played(self._clip, self.stream, read)), {self.stream: last["dropped"]})


def _played(clip: str, stream: str, records: int) -> Iterable[Item]:
    """Yield the items among the first records of a clip in a loop."""
    [plan] = plans_for([clip], SourceOptions(stream=stream, loops=0, start_at=START))
    if plan.start_at_ns is None:
        raise RuntimeError(f"{START}: expected a time")
    with Playback(plan) as playback:
        for record in islice(playback.records(plan.start_at_ns), records):
            item = item_of(record)
            if item is not None:
                yield item
