"""An installation in memory, in which tests run whole workers: records in, results out, restarts and crashes."""

from __future__ import annotations

import io
import threading
import time
import wave
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import cv2
import numpy as np

from triptych.models.model import InputSpec
from triptych.schemas.codec import decode_result, encode
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import decode_dead, is_mark
from triptych.schemas.names import (
    MODALITIES,
    TOPIC_OF,
    Modality,
    consumer_group,
    dead_topic,
    results_topic,
)
from triptych.schemas.partition import partition_of
from triptych.schemas.records import AudioChunk, End, InputRecord, MediaRecord, Progress, SubtitleCue, VideoFrame
from triptych.schemas.results import Result
from triptych.service.health import Health
from triptych.service.signals import ReloadSignal
from triptych.settings.loading import load
from triptych.settings.tree import Settings
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.protocols import Transport
from triptych.transport.records import Message, Record, TopicPartition
from triptych.worker.observability.events import Event
from triptych.worker.pipeline import Pipeline, RunReport
from triptych.worker.publishing.stores.memory import MemoryStore
from triptych.worker.run import WholeLog
from triptych.worker.wiring import Dependencies, open_pipeline

_E = TypeVar("_E", bound=Event)
SECOND = 1_000_000_000
T0 = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
SEND_LIMIT_S = 60
WORK_LIMIT_S = 60


def jpeg(shade: int = 128) -> bytes:
    """Return a small grey image, encoded as JPEG."""
    encoded, data = cv2.imencode(".jpg", np.full((36, 64, 3), shade, np.uint8))
    assert encoded
    return data.tobytes()


def wav(seconds: float, level: int = 1000) -> bytes:
    """Return mono audio of a constant level at 16 kHz, encoded as WAV."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.full(round(seconds * 16_000), level, np.int16).tobytes())
    return buffer.getvalue()


@dataclass
class Feed:
    """Builds the records of one stream, as a producer does."""

    stream: str
    session: str = "s1"
    start_ns: int = T0
    tracks: tuple[Modality, ...] = MODALITIES
    sent: dict[Modality, int] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0))

    def _common(self, modality: Modality, at_s: float, next_s: float) -> dict[str, object]:
        return {
            "stream": self.stream,
            "id": f"{self.session}/{modality}/{self.sent[modality]}",
            "source": "test:feed",
            "session": self.session,
            "tracks": self.tracks,
            "start_ns": self.start_ns + round(at_s * SECOND),
            "next_ns": self.start_ns + round(next_s * SECOND),
        }

    def _seq(self, modality: Modality) -> int:
        self.sent[modality] += 1
        return self.sent[modality] - 1

    def frame(self, at_s: float, data: bytes | None = None) -> VideoFrame:
        """Return a frame. The next one is expected a quarter of a second later."""
        common = self._common("video", at_s, at_s + 0.25)
        return VideoFrame.model_validate(common | {"seq": self._seq("video"), "data": data or jpeg()})

    def chunk(self, at_s: float, data: bytes | None = None) -> AudioChunk:
        """Return a chunk of half a second."""
        common = self._common("audio", at_s, at_s + 0.5)
        end_ns = self.start_ns + round((at_s + 0.5) * SECOND)
        own = {"seq": self._seq("audio"), "end_ns": end_ns, "data": data or wav(0.5), "sample_rate_hz": 16_000}
        return AudioChunk.model_validate(common | own)

    def cue(self, at_s: float, end_s: float, text: str, next_s: float) -> SubtitleCue:
        """Return a cue."""
        common = self._common("subtitles", at_s, next_s)
        own = {"seq": self._seq("subtitles"), "end_ns": self.start_ns + round(end_s * SECOND), "text": text}
        return SubtitleCue.model_validate(common | own)

    def progress(self, modality: Modality, at_s: float, next_s: float) -> Progress:
        """Return a progress record of a track without media."""
        return Progress.model_validate(self._common(modality, at_s, next_s) | {"modality": modality})

    def end(self, modality: Modality, at_s: float) -> End:
        """Return the end record of a track."""
        return End.model_validate(self._common(modality, at_s, at_s) | {"modality": modality})

    def play(self, seconds: int, *, ended: bool = True) -> list[InputRecord]:
        """Return all records of some seconds of media, in order of event time, with a cue every two seconds."""
        records: list[InputRecord] = []
        for second in range(seconds):
            if second % 2 == 0:
                records.append(self.cue(second, second + 1, f"words at {second}", second + 2))
            for half in (second, second + 0.5):
                records += [self.frame(half), self.chunk(half), self.frame(half + 0.25)]
        if ended:
            records += [self.end(modality, seconds) for modality in self.tracks]
        return records


def measured(records: Iterable[InputRecord]) -> list[InputRecord]:
    """Return the records with an audio-video offset in each media record: its index, in milliseconds."""
    return [
        record.model_copy(update={"av_offset_ms": float(index)}) if isinstance(record, MediaRecord) else record
        for index, record in enumerate(records)
    ]


class World:
    """Topics and a store that outlive the workers."""

    def __init__(self) -> None:
        self._memory = MemoryTransport()
        self.transport: Transport = self._memory
        self.store = MemoryStore()
        self.events: list[Event] = []
        self.health = Health()
        self.reload_signal: ReloadSignal | None = None
        self.settings: Settings = load(overrides={"model.name": "null", "batch.max_delay_ms": 0}, environ={})

    def send(self, records: Iterable[InputRecord]) -> None:
        """Publish records, as producers do."""
        publisher = self.transport.publisher()
        for record in records:
            wire = encode(record)
            publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers)).result(SEND_LIMIT_S)
        publisher.close(SEND_LIMIT_S)

    def send_raw(self, message: Message) -> None:
        """Publish any message."""
        publisher = self.transport.publisher()
        publisher.send(message).result(SEND_LIMIT_S)
        publisher.close(SEND_LIMIT_S)

    def open(self) -> AbstractContextManager[Pipeline]:
        """Open a worker."""
        dependencies = Dependencies(self.transport, self.store, [self.events.append], self.health, self.reload_signal)
        return open_pipeline(self.settings, dependencies, WholeLog.of(self.settings))

    def work(self) -> RunReport:
        """Run a worker until the end of the topics."""
        with self.open() as pipeline:
            return pipeline.run(threading.Event(), until_end=lambda: True)

    def work_some(self, steps: int) -> None:
        """Run a worker for some steps, then kill it: it does not finish or commit anything."""
        with self.open() as pipeline:
            for _ in range(steps):
                pipeline.step()

    def work_until(self, holds: Callable[[], bool]) -> None:
        """Run a worker until a condition holds, then kill it."""
        deadline_s = time.monotonic() + WORK_LIMIT_S
        with self.open() as pipeline:
            while not holds():
                assert time.monotonic() < deadline_s, "the condition never held"
                pipeline.step()

    def evict_members(self) -> None:
        """Remove all members from the group, as after a session timeout."""
        self._memory.evict_members(consumer_group(self.settings.pipeline))

    def results(self) -> list[Result]:
        """Return the results on the results topic, partition by partition."""
        records = self.read(results_topic(self.settings.pipeline))
        return [decode_result(record.key, record.value, record.headers) for record in records]

    def results_partition(self, stream: str) -> int:
        """Return the partition of a stream."""
        return partition_of(stream.encode(), 6)

    @property
    def spec(self) -> InputSpec:
        """The input spec of the null model."""
        return InputSpec(4, 32, 32, 16_000)

    def letters(self) -> list[DeadLetter]:
        """Return the dead letters."""
        records = self.read(dead_topic(self.settings.pipeline))
        return [decode_dead(r.key, r.value, r.headers) for r in records if not is_mark(r.headers)]

    def read(self, topic: str) -> list[Record]:
        """Return all records of a topic, partition by partition."""
        tps = [TopicPartition(topic, partition) for partition in range(6)]
        reader = self.transport.reader(dict.fromkeys(tps, 0))
        ends = reader.end_offsets(tps)
        records: list[Record] = []
        while any(reader.position(tp) < ends[tp] for tp in tps):
            records += reader.poll(1).records
        reader.close()
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def seen(self, kind: type[_E]) -> list[_E]:
        """Return the events of a type."""
        return [event for event in self.events if isinstance(event, kind)]
