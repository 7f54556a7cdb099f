"""The official CloudEvents SDK reads every kind of message that we write."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

from triptych.schemas.envelope import Wire

TYPES = {
    "video_frame": "triptych.video.frame",
    "video_frame_of_a_foreign_producer": "triptych.video.frame",
    "audio_chunk": "triptych.audio.chunk",
    "subtitles_cue": "triptych.subtitles.cue",
    "subtitles_cue_generated_and_redriven": "triptych.subtitles.cue",
    "subtitles_cue_generated_by_a_model": "triptych.subtitles.cue",
    "progress": "triptych.progress",
    "end": "triptych.end",
    "result_with_nothing_filled": "triptych.result",
    "result_with_all_filled": "triptych.result",
    "result_with_words_that_were_heard": "triptych.result",
    "dead_letter": "triptych.dead",
    "dead_letter_that_is_not_text": "triptych.dead",
    "dead_letter_without_a_key": "triptych.dead",
    "dead_letter_that_is_not_whole": "triptych.dead",
}


def _event(message: Wire) -> BaseCloudEvent:
    return from_kafka_event(KafkaMessage(headers=dict(message.headers), key=message.key, value=message.value))


@pytest.mark.parametrize("name", TYPES)
def test_the_sdk_reads_every_kind(golden: dict[str, Wire], name: str) -> None:
    """Type, id, source, content type, time and key are attributes of a valid event."""
    message = golden[name]
    headers = dict(message.headers)
    event = _event(message)
    assert event.get_specversion() == "1.0"
    assert event.get_type() == TYPES[name]
    assert event.get_id() == headers["ce_id"].decode()
    assert event.get_source() == headers["ce_source"].decode()
    assert event.get_datacontenttype() == (headers["content-type"].decode() if "content-type" in headers else None)
    assert event.get_extension("partitionkey") == message.key.decode()


@pytest.mark.parametrize("name", TYPES)
def test_the_sdk_reads_a_time_from_the_message(golden: dict[str, Wire], name: str) -> None:
    """Every kind has a time: otherwise the SDK uses the current time."""
    headers = dict(golden[name].headers)
    moment_ns = int(headers.get("ce_startns") or headers["ce_originarrivalns"])
    assert _event(golden[name]).get_time() == datetime.fromtimestamp(moment_ns / 1e9, tz=UTC)


def test_the_sdk_reads_our_extensions(golden: dict[str, Wire]) -> None:
    """Numbers are decimal strings, as in the Kafka binding; the subject of a control record is its track."""
    event = _event(golden["subtitles_cue"])
    extensions = {"startns": "1767225601000000000", "endns": "1767225603000000000", "nextns": "1767225604000000000"}
    extensions |= {"session": "01JGFJJZ00", "seq": "1", "tracks": "video,audio,subtitles", "language": "fra"}
    assert {name: event.get_extension(name) for name in extensions} == extensions
    assert _event(golden["progress"]).get_subject() == "subtitles"


def test_the_sdk_reads_the_media(golden: dict[str, Wire]) -> None:
    """Images and audio are bytes, cues are text, a result is an object, a control record is empty."""
    assert _event(golden["video_frame"]).get_data() == golden["video_frame"].value
    assert isinstance(_event(golden["audio_chunk"]).get_data(), bytes)
    assert _event(golden["subtitles_cue"]).get_data() == golden["subtitles_cue"].value.decode()
    result = _event(golden["result_with_all_filled"]).get_data()
    assert isinstance(result, dict)
    assert result["closed_by"] == "idle"
    assert _event(golden["progress"]).get_data() is None


def test_the_sdk_ignores_the_state_header_of_a_result(golden: dict[str, Wire]) -> None:
    """A header that is not an attribute is ignored, as long as it is UTF-8."""
    message = golden["result_with_all_filled"]
    event = _event(message._replace(headers=(*message.headers, ("triptych-state", b"{}"))))
    assert event.get_type() == "triptych.result"
