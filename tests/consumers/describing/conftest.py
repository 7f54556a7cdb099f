"""Results with their media in memory, a scripted endpoint, and the program between them."""

from __future__ import annotations

import io
import threading
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from PIL import Image

from tests.scripted_endpoint import ScriptedEndpoint, scripted_endpoint
from triptych.consumers.describing.chat.asking import AskingLimits, WindowAsker
from triptych.consumers.describing.chat.endpoint import HttpChatEndpoint
from triptych.consumers.describing.metrics import DescribeMetrics
from triptych.consumers.describing.options import ConditionOptions, DescribeOptions, LimitOptions, ModelOptions
from triptych.consumers.describing.program import DescribeProgram, asking_limits, inquiry_of
from triptych.consumers.subscription.log_reading import partitions_of, read_since
from triptych.schemas.codec import encode, encode_result
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import decode_dead
from triptych.schemas.names import (
    TOPIC_OF,
    dead_topic,
    descriptions_topic,
    result_id,
    results_topic,
)
from triptych.schemas.perception.description_codec import decode_description
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.records import AudioChunk, InputRecord, SubtitleCue, VideoFrame
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Observations, Quality, Result, Words
from triptych.service.health import Health
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics

START_NS = 1_767_225_600_000_000_000
WINDOW_NS = 2_000_000_000
PIPELINE = "triptych"


def jpeg(grey: int = 128, size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a plain picture."""
    out = io.BytesIO()
    Image.new("RGB", size, (grey, grey, grey)).save(out, "JPEG")
    return out.getvalue()


def silence(rate_hz: int = 8_000) -> bytes:
    """Return a window of silence as WAV."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(bytes(4 * rate_hz))
    return out.getvalue()


def make_window(number: int, stream: str = "city", **changes: Any) -> Result:  # noqa: ANN401 - any field of a result
    """Return the result of window `number`, without media. Each looks different from the others."""
    start_ns = START_NS + number * WINDOW_NS
    fields: dict[str, Any] = {
        "id": result_id(stream, start_ns, start_ns + WINDOW_NS, changes.get("revision", 0)),
        "stream": stream,
        "start_ns": start_ns,
        "end_ns": start_ns + WINDOW_NS,
        "closed_by": "progress",
        "published_ns": start_ns + WINDOW_NS,
        "modalities": Modalities(
            video=ModalityReport(state="absent"),
            audio=ModalityReport(state="absent"),
            subtitles=ModalityReport(state="absent"),
        ),
        "model": ModelReference(name="null", version="1", sha256="0" * 64),
        "observations": Observations(
            speech_share=0.9, words=(Words(text=f"word {number}", start_ns=start_ns, end_ns=start_ns + WINDOW_NS),)
        ),
        "quality": Quality(layout=f"{(0x9E3779B97F4A7C15 * (number + 1)) % 2**64:016x}"),
    }
    return Result(**(fields | changes))


@dataclass
class Bench:
    """A pipeline in memory: results with or without media, and what was published about them."""

    transport: MemoryTransport
    endpoint: ScriptedEndpoint
    metrics: DescribeMetrics = field(default_factory=DescribeMetrics)

    def publish(self, *results: Result) -> None:
        """Publish results."""
        publisher = self.transport.publisher()
        for result in results:
            publisher.send(Message(results_topic(PIPELINE), *encode_result(result, pipeline=PIPELINE))).result(5)
        publisher.close(5)

    def publish_junk(self, stream: str) -> None:
        """Publish a record that is no result."""
        publisher = self.transport.publisher()
        publisher.send(Message(results_topic(PIPELINE), stream.encode(), b"junk", ())).result(5)
        publisher.close(5)

    def send_media(self, number: int, stream: str = "city", *, cue: str | None = None) -> Modalities:
        """Send two frames, the sound and a cue of a window; return the reports of a result that is based on them."""
        start_ns = START_NS + number * WINDOW_NS
        common: dict[str, Any] = {"stream": stream, "source": "/cam", "session": "s"}
        frames = [
            VideoFrame(**common, id=f"v{number}.{part}", start_ns=start_ns + part * 10**9, data=jpeg(60 + part))
            for part in (0, 1)
        ]
        spans = {"start_ns": start_ns, "end_ns": start_ns + WINDOW_NS}
        chunk = AudioChunk(**common, **spans, id=f"a{number}", data=silence())
        cues = [] if cue is None else [SubtitleCue(**common, **spans, id=f"c{number}", text=cue)]
        return Modalities(video=self._sent(*frames), audio=self._sent(chunk), subtitles=self._sent(*cues))

    def _sent(self, *records: InputRecord) -> ModalityReport:
        if not records:
            return ModalityReport(state="absent")
        publisher = self.transport.publisher()
        where = [publisher.send(Message(TOPIC_OF[one.modality], *encode(one))).result(5) for one in records]
        publisher.close(5)
        return ModalityReport(
            state="present",
            items=len(records),
            used=len(records),
            partition=where[0].partition,
            offsets=(where[0].offset, where[-1].offset),
        )

    def run(self, options: DescribeOptions | None = None, *, stop: threading.Event | None = None) -> int:
        """Run the program to the end of what exists."""
        return self.program(options).run(
            options or describe_options(self.endpoint), PIPELINE, stop or threading.Event()
        )

    def program(self, options: DescribeOptions | None = None) -> DescribeProgram:
        """Return a program that has probed the endpoint."""
        options = options or describe_options(self.endpoint)
        asker = self.asker(options)
        asker.probe(audio=options.model.audio)
        return DescribeProgram(self.transport, asker, self.metrics, Health("describer"))

    def asker(self, options: DescribeOptions | None = None, **limits: Any) -> WindowAsker:  # noqa: ANN401 - any limit
        """Return an asker without delays between attempts, which has not probed."""
        options = options or describe_options(self.endpoint)
        endpoint = HttpChatEndpoint(options.model.endpoint, key=None, timeout_s=options.limits.timeout)
        quick: AskingLimits = replace(asking_limits(options), min_backoff_s=0.01, **limits)
        return WindowAsker(endpoint, inquiry_of(options), quick, threading.Event(), on_reply=self.metrics.count_reply)

    def descriptions(self) -> list[Description]:
        """Return all descriptions on the topic."""
        tps = partitions_of(self.transport, descriptions_topic(PIPELINE))
        records = read_since(self.transport, dict.fromkeys(tps, 0))
        return [decode_description(one.key, one.value, one.headers) for one in records]

    def letters(self) -> list[DeadLetter]:
        """Return all dead letters."""
        tps = partitions_of(self.transport, dead_topic(PIPELINE))
        return [
            decode_dead(one.key, one.value, one.headers) for one in read_since(self.transport, dict.fromkeys(tps, 0))
        ]

    def skipped(self, reason: str) -> float:
        """Return how many results were counted as skipped for a reason."""
        value = self.metrics.registry.get_sample_value("triptych_describe_skipped_total", {"reason": reason})
        assert value is not None
        return value


def describe_options(
    endpoint: ScriptedEndpoint,
    *,
    model: dict[str, Any] | None = None,
    conditions: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    **own: Any,  # noqa: ANN401 - any option
) -> DescribeOptions:
    """Return options from the beginning to the end of what exists, with the given ones changed."""
    return DescribeOptions(
        ModelOptions(endpoint.url, "tiny", **({"audio": False} | (model or {}))),
        conditions=ConditionOptions(**(conditions or {})),
        limits=LimitOptions(**({"timeout": 5.0} | (limits or {}))),
        **({"since": "beginning", "until_end": True} | own),
    )


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    """An endpoint that answers well."""
    with scripted_endpoint() as found:
        yield found


@pytest.fixture
def bench(endpoint: ScriptedEndpoint) -> Bench:
    """A pipeline with two partitions."""
    transport = MemoryTransport(partitions=2)
    create_topics(transport.admin(), PIPELINE, TopicSettings("", partitions=2, replication=1))
    return Bench(transport, endpoint)


Options = Callable[..., DescribeOptions]


@pytest.fixture
def options(endpoint: ScriptedEndpoint) -> Options:
    """Make options for the endpoint."""
    return lambda **changes: describe_options(endpoint, **changes)
