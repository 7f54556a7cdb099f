"""The values of records: sources without credentials, one-line reasons, immutability."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from triptych.schemas.dead import DeadLetter
from triptych.schemas.records import End, VideoFrame
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Result
from triptych.schemas.values import hide_credentials


def _end(source: str) -> End:
    return End(stream="a", id="1", source=source, session="s", start_ns=0, modality="video")


SECRETS = [
    "rtsp://eve:secret@gate.local:554/1",
    "rtsp://secret@gate.local",
    "rtsp://eve:se@cret@gate.local/1",
    "//eve:secret@gate.local",
    "http://eve:secret word@gate.local",
    "concat:http://a/1|http://eve:secret@b/2",
]


@pytest.mark.parametrize("source", SECRETS)
def test_a_source_with_credentials_is_invalid(source: str) -> None:
    """A password would stay in the log for its whole retention. The error does not repeat it."""
    with pytest.raises(ValidationError, match="without user name or password") as caught:
        _end(source)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("source", SECRETS)
def test_credentials_are_hidden(source: str) -> None:
    """The rest is a valid source."""
    hidden = hide_credentials(source)
    assert "secret" not in hidden.replace("***", "")
    assert "gate.local" in hidden or "b/2" in hidden


@pytest.mark.parametrize(
    "source",
    [
        "file:///clips/a@b.mkv",
        "https://cdn/pictures/x@2.jpg",
        "https://cdn//b@2.jpg",
        "/dev/video0",
        "rtsp://gate/1?to=a@b",
    ],
)
def test_an_at_sign_elsewhere_is_not_a_credential(source: str) -> None:
    """Only the authority of a URL contains a user."""
    assert _end(source).source == source
    assert hide_credentials(source) == source


def test_a_reason_is_one_line_that_fits_a_header() -> None:
    """A dead letter must never fail because of its reason."""
    letter = DeadLetter(
        pipeline="p",
        topic="t",
        partition=0,
        offset=0,
        arrival_ns=0,
        reason="first\nsecond\x1b[2J \ud800" + "x" * 5000,
        key=None,
        value=b"",
        headers=(),
    )
    assert letter.reason.startswith("first second [2J x")
    assert letter.reason.isprintable()
    assert len(letter.reason) <= 2048


def test_records_and_results_are_immutable() -> None:
    """Neither their fields nor the contents of fields."""
    frame = VideoFrame(stream="a", id="1", source="s", session="x", start_ns=0, data=b"x")
    with pytest.raises(ValidationError, match="frozen"):
        frame.start_ns = 1  # type: ignore[misc]
    absent = ModalityReport(state="absent")
    result = Result(
        id="a/0-1/0",
        stream="a",
        start_ns=0,
        end_ns=1,
        closed_by="end",
        published_ns=0,
        modalities=Modalities(video=absent, audio=absent, subtitles=absent),
        model=ModelReference(name="null", version="1", sha256=""),
        stage_ms={"infer": 1.0},
    )
    with pytest.raises(TypeError):
        result.stage_ms["infer"] = 2.0  # type: ignore[index]
    with pytest.raises(TypeError):
        result.predictions["scene"] = ()  # type: ignore[index]


def test_a_record_without_a_watermark_declares_its_start() -> None:
    """So a foreign producer can omit `ce_nextns`."""
    assert _end("s").watermark_ns == 0
    assert _end("s").model_copy(update={"next_ns": 7}).watermark_ns == 7
