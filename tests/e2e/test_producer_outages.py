"""A producer whose broker is away for longer than it keeps records, whose link is slow, or which is suspended.

The feed is a film in real time, so the event times of what it should send are known.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.films import write_film
from tests.e2e.programs import Installation, Program, wait_until
from tests.producers.live.relay import Relay
from tests.servers import open_server
from tools.devservers import DevKafka, KafkaOptions
from tools.devservers.ports import free_ports
from triptych.schemas.codec import decode
from triptych.schemas.names import MODALITY_OF, TOPIC_OF, Modality
from triptych.schemas.records import InputRecord, MediaRecord
from triptych.settings.kafka import KafkaSettings
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.records import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = "2026-01-01T00:00:00Z"
FILM_S = 30
SOUND_BYTES_PER_S = 2 * 16_000
PICTURES_PER_S = 4
S = 1_000_000_000


class Throttle:
    """The bandwidth of a link to a server: all of it, or some bytes per second."""

    def __init__(self) -> None:
        self.bytes_per_s: float | None = None
        self.sent_bytes = 0
        self._free_s = 0.0
        self._lock = threading.Lock()

    def __call__(self, size_bytes: int, to_server: bool) -> None:  # noqa: FBT001 - a callback
        """Wait until the link has brought this many bytes."""
        if not to_server:
            return
        with self._lock:
            self.sent_bytes += size_bytes
            if self.bytes_per_s is None:
                return
            self._free_s = max(time.monotonic(), self._free_s) + size_bytes / self.bytes_per_s
            until_s = self._free_s
        while self.bytes_per_s is not None and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.1))


def media(here: Installation, modality: Modality) -> list[MediaRecord]:
    """Return the media on a topic, in order."""
    topic = TOPIC_OF[modality]
    transport = KafkaTransport(KafkaSettings(bootstrap_servers=here.bootstrap_servers))
    try:
        partitions = [TopicPartition(topic, number) for number in range(6)]
        reader = transport.reader(dict.fromkeys(partitions, 0))
        ends = reader.end_offsets(partitions)
        records: list[InputRecord] = []
        while any(reader.position(tp) < end for tp, end in ends.items()):
            found = reader.poll(1).records
            records += [decode(one.key, one.value, one.headers, modality=MODALITY_OF[one.topic]) for one in found]
    finally:
        transport.close()
    return [record for record in records if isinstance(record, MediaRecord)]


def numbers(here: Installation, modality: Modality) -> list[int]:
    """Return the `seq` of the media on a topic, without repeats, and check their order."""
    found = [record.seq or 0 for record in media(here, modality)]
    first = list(dict.fromkeys(found))
    assert first == sorted(first)
    return first


def dropped(producer: Program | str) -> dict[str, int]:
    """Return how many records the log says were dropped, by modality."""
    ended = producer.events("dropping_ended") if isinstance(producer, Program) else []
    return {modality: sum(entry[modality] for entry in ended) for modality in ("video", "audio", "subtitles")}


@pytest.mark.timeout(300)
def test_an_outage_longer_than_records_are_kept_loses_pictures_and_sound_but_no_words(
    install: Callable[..., Installation], start_kafka: Callable[[KafkaOptions], DevKafka], tmp_path: Path
) -> None:
    """The feed goes on, and the log says how many. All that is missing on the topics is told."""
    kafka = start_kafka(KafkaOptions())
    here = replace(install(TRIPTYCH_PRODUCE_MAX_LAG_MS="3000"), bootstrap_servers=kafka.bootstrap_servers)
    here.make_topics()
    film = write_film(tmp_path / "hall.mkv", seconds=FILM_S, tone_hz=440)
    with here.running("produce", str(film), "--realtime", "--loop", "0", "--start-at", START) as producer:
        wait_until(lambda: len(media(here, "video")) > 8, "the first pictures")
        kafka.kill()
        producer.wait_for("records_dropped")
        time.sleep(5)
        kafka.start()
        before = len(media(here, "video"))
        producer.wait_for("dropping_ended")
        wait_until(lambda: len(media(here, "video")) > before + 8, "more pictures")
        producer.stop().succeeded()

    assert [entry["cause"] for entry in producer.events("records_dropped")] == ["outage"]
    assert producer.events("broker_answers")
    told = dropped(producer)
    for modality in ("video", "audio", "subtitles"):
        own = numbers(here, modality)
        assert own[-1] + 1 - len(own) == told[modality]
    assert told["video"] > 0
    assert told["audio"] > 0
    assert told["subtitles"] == 0


@pytest.mark.timeout(300)
def test_a_link_of_a_quarter_thins_pictures_and_brings_all_sound_and_words_in_time(
    install: Callable[..., Installation], tmp_path: Path
) -> None:
    """The log says so once, and what is missing is told."""
    throttle = Throttle()
    (port,) = free_ports(1)
    with ExitStack() as stack:
        relay = stack.enter_context(Relay(port, pace=throttle))
        advertised = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{relay.port}"}
        open_server(stack, lambda: DevKafka(KafkaOptions(properties=advertised, starts_often=True), port=port))
        here = replace(install(), bootstrap_servers=f"127.0.0.1:{relay.port}")
        here.make_topics()
        film = write_film(tmp_path / "hall.mkv", seconds=FILM_S, tone_hz=440, noise_size=(480, 272))
        args = ("--realtime", "--loop", "0", "--start-at", START, "--height", "272", "--fps", "8")
        with here.running("produce", str(film), *args) as producer:
            wait_until(lambda: len(media(here, "video")) > 16, "the first pictures")
            sent_bytes, began_s = throttle.sent_bytes, time.monotonic()
            time.sleep(5)
            needed = (throttle.sent_bytes - sent_bytes) / (time.monotonic() - began_s)
            # On a busy machine less than what is needed is measured; sound and words must fit through in any case.
            throttle.bytes_per_s = max(needed / 4, 2 * SOUND_BYTES_PER_S)
            producer.wait_for("records_dropped")
            time.sleep(10)
            throttle.bytes_per_s = None
            producer.wait_for("dropping_ended")
            producer.stop().succeeded()
        own = {modality: numbers(here, modality) for modality in ("video", "audio", "subtitles")}

    assert [entry["cause"] for entry in producer.events("records_dropped")] == ["slow_link"]
    told = dropped(producer)
    assert {name: each[-1] + 1 - len(each) for name, each in own.items()} == told
    assert told["video"] > 16
    assert told["audio"] == told["subtitles"] == 0


@pytest.mark.timeout(300)
def test_a_suspended_producer_tells_what_it_missed_and_goes_on_at_the_present(
    install: Callable[..., Installation], tmp_path: Path
) -> None:
    """What was due meanwhile is not played as fast as possible: it is skipped, and counted."""
    here = install()
    film = write_film(tmp_path / "hall.mkv", seconds=FILM_S, tone_hz=440)
    with here.running("produce", str(film), "--realtime", "--loop", "0", "--start-at", START) as producer:
        wait_until(lambda: len(media(here, "audio")) > 4, "the first sound")
        producer.freeze()
        time.sleep(12)
        producer.thaw()
        before = len(media(here, "audio"))
        wait_until(lambda: len(media(here, "audio")) > before + 8, "more sound")
        producer.stop().succeeded()

    (suspended,) = producer.events("producer_suspended")
    assert suspended["missed_s"] >= 11
    sound = media(here, "audio")
    gaps = [after.seq - one.seq - 1 for one, after in itertools.pairwise(sound) if after.seq != one.seq + 1]
    assert len(gaps) == 1
    assert gaps[0] * 0.5 == pytest.approx(suspended["missed_s"], abs=1.5)
    assert len({record.session for record in sound}) == 1
    assert all((one.start_ns - sound[0].start_ns) * 2 == (one.seq or 0) * S for one in sound)
