"""A pipeline with results, the records behind them and dead letters, and the page over it."""

from __future__ import annotations

import io
import json
import threading
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx2
import pytest
from PIL import Image

from triptych.consumers.doctor.look import Surveyor
from triptych.consumers.page.options import ListenOptions, MemoryOptions, ReviewOptions
from triptych.consumers.page.program import PageServer, PageSetup
from triptych.consumers.page.reading.pipeline_look import NoResultIndex
from triptych.consumers.page.web.access import LOCAL_USER, PageUser, granted_roles
from triptych.consumers.page.web.gate import AccessRules
from triptych.schemas.codec import encode, encode_result
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import encode_dead
from triptych.schemas.names import TOPIC_OF, dead_topic, results_topic
from triptych.schemas.perception.matches import Match
from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import AudioChunk, InputRecord, SubtitleCue, VideoFrame
from triptych.schemas.results import Modalities, ModalityReport, Result
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.protocols import Transport
from triptych.transport.records import Delivered, Message
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult

LIMIT_S: Final = 60.0
POST_HEADERS: Final = {"X-Triptych": "1"}
ABSENT: Final = ModalityReport(state="absent")


def until(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    """Wait until a condition of another thread holds."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


@dataclass
class PagePipeline:
    """A pipeline: its topics, and what a test publishes on them."""

    transport: Transport
    make_result: MakeResult
    name: str = "triptych"
    sent: int = 0

    def send(self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]]) -> Delivered:
        """Send a message."""
        publisher = self.transport.publisher()
        delivered = publisher.send(Message(topic, key or b"", value, tuple(headers))).result(LIMIT_S)
        publisher.close(LIMIT_S)
        return delivered

    def publish(self, *results: Result) -> None:
        """Publish results as the worker does."""
        publisher = self.transport.publisher()
        sent = [
            publisher.send(Message(results_topic(self.name), *encode_result(result, pipeline=self.name)))
            for result in results
        ]
        for one in sent:
            one.result(LIMIT_S)
        publisher.close(LIMIT_S)

    def publish_bare(self, number: int, *feeds: str) -> None:
        """Publish the result of a window of each feed, without the records behind it."""
        self.publish(*(self.make_result(number, feed, published_ns=time.time_ns()) for feed in feeds))

    def window(self, number: int, feed: str = "city", *, fire: float | None = None, **changes: Any) -> Result:  # noqa: ANN401 - any field of a result
        """Publish the records of a window, two pictures, a second of sound and a cue, and its result."""
        changes.setdefault("published_ns", time.time_ns())  # an old feed would be told of once more, as silent
        plain = self.make_result(number, feed)
        at_ns, told = plain.start_ns, {"stream": feed, "source": "/cam", "session": "s"}
        pictures = [
            VideoFrame(id=f"v{number}{n}", start_ns=at_ns + n * 10**9, data=jpeg(n), width=64, height=36, **told)
            for n in (0, 1)
        ]
        sound = AudioChunk(id=f"a{number}", start_ns=at_ns, end_ns=at_ns + 10**9, data=wav(), **told)
        cue = SubtitleCue(id=f"c{number}", start_ns=at_ns, end_ns=at_ns + 10**9, text="the city was asleep", **told)
        reports = {
            "video": self._report(pictures),
            "audio": self._report([sound]),
            "subtitles": self._report([cue]),
        }
        if fire is not None:
            changes["matches"] = {"fire": Match(score=fire, log_odds=0.0, at_ns=at_ns)}
        result = self.make_result(number, feed, modalities=Modalities(**reports), **changes)
        self.publish(result)
        return result

    def dead_letter(self, feed: str | None = "city", value: bytes = b"broken", **changes: Any) -> Delivered:  # noqa: ANN401 - any field of a letter
        """Publish a dead letter."""
        self.sent += 1
        fields: dict[str, Any] = {
            "pipeline": self.name,
            "topic": TOPIC_OF["video"],
            "partition": 0,
            "offset": self.sent,
            "arrival_ns": time.time_ns(),
            "reason": "why not",
            "code": DeadReason.BROKEN_MEDIA,
            "key": None if feed is None else feed.encode(),
            "value": value,
            "headers": (("content-type", b"image/jpeg"), ("note", b"<b>\xff")),
        }
        wire = encode_dead(DeadLetter(**(fields | changes)))
        return self.send(dead_topic(self.name), wire.key, wire.value, wire.headers)

    def _report(self, records: Sequence[InputRecord]) -> ModalityReport:
        places = [self.send(TOPIC_OF[record.modality], *encode(record)) for record in records]
        offsets = (places[0].offset, places[-1].offset)
        count = len(records)
        return ModalityReport(state="present", items=count, used=count, partition=places[0].partition, offsets=offsets)


def jpeg(number: int) -> bytes:
    """Return a picture of one grey."""
    out = io.BytesIO()
    Image.new("L", (64, 36), 40 * (number + 1)).save(out, "JPEG")
    return out.getvalue()


def wav() -> bytes:
    """Return a second of sound: silence, and then its loudest sample."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(bytes(4_000 * 2) + (32_767).to_bytes(2, "little") * 4_000)
    return out.getvalue()


@dataclass
class ServedPage:
    """The page, and a client of it."""

    server: PageServer
    client: httpx2.Client
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, status: int = 200, **headers: str) -> Any:  # noqa: ANN401 - JSON
        """Return what a path answers, as JSON."""
        answer = self.client.get(path, headers={**self.headers, **headers})
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: object, status: int = 200) -> Any:  # noqa: ANN401 - JSON
        """Return what a path answers to a body, as JSON."""
        answer = self.client.post(path, json=body, headers={**POST_HEADERS, **self.headers})
        assert answer.status_code == status, answer.text
        return answer.json()

    def until_read(self, results: int) -> None:
        """Wait until the page has read so many results."""
        until(lambda: self.server.state.counts["results"] >= results)


class EventReader:
    """Reads the stream of changes in a thread, as a browser does."""

    def __init__(self, url: str, cursor: str) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        """Kind, cursor after it, and body."""
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=LIMIT_S)
        self._connection.request("GET", "/api/events", headers={"Last-Event-ID": cursor})
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def cursor(self) -> str:
        """The cursor of the last event that has one."""
        return next(cursor for _, cursor, _ in reversed(self.events) if cursor)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Return the bodies of events of a kind."""
        return [body for name, _, body in tuple(self.events) if name == kind]

    def close(self) -> None:
        """Break off."""
        if self._connection.sock is not None:
            self._connection.sock.shutdown(SHUT_RDWR)
        self._thread.join(LIMIT_S)
        self._connection.close()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self._answer:
                name, _, value = line.decode().rstrip("\r\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    self.events.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
                    fields = {}
        except (OSError, HTTPException):
            return  # the server has gone, or the test has broken off


ServePage = Callable[..., ServedPage]


@pytest.fixture
def pipeline(make_result: MakeResult) -> PagePipeline:
    """A pipeline in memory, with all its topics."""
    transport = MemoryTransport()
    create_topics(transport.admin(), "triptych", TopicSettings("", partitions=3, replication=1))
    return PagePipeline(transport, make_result)


@pytest.fixture
def serve(pipeline: PagePipeline) -> Iterator[ServePage]:
    """Serve the page of the pipeline: `serve(rules, review=…)`. By default everybody may do everything."""
    with ExitStack() as stack:

        def start(rules: AccessRules | None = None, *, listen: ListenOptions | None = None, **setup: Any) -> ServedPage:  # noqa: ANN401 - fields of the setup
            everybody = AccessRules(default_user=PageUser(LOCAL_USER, granted_roles(["operate"])))
            usual = {
                "transport": pipeline.transport,
                "index": NoResultIndex(),
                "surveyor": Surveyor(pipeline.name, 4 << 20, idle_ns=0, pause=lambda _: None),
                "rules": rules or everybody,
                "has_index": False,
                "review": ReviewOptions(),
                "memory": MemoryOptions(since="beginning"),
            }
            server = stack.enter_context(PageServer(PageSetup(**(usual | setup)), listen or ListenOptions(port=0)))
            client = stack.enter_context(httpx2.Client(base_url=server.url, timeout=LIMIT_S))
            until(lambda: not server.state.catching_up)
            return ServedPage(server, client)

        yield start
