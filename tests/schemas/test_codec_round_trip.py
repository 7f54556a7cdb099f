"""Everything that can be encoded can be decoded without loss."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.schemas.codec import decode, decode_result, encode, encode_result
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import decode_dead, encode_dead
from triptych.schemas.names import MODALITIES, Modality, result_id
from triptych.schemas.records import AudioChunk, End, InputRecord, Progress, SubtitleCue, VideoFrame
from triptych.schemas.results import (
    Arrival,
    LabelScore,
    Modalities,
    ModalityReport,
    ModelReference,
    Observations,
    Prediction,
    Result,
    Shares,
    Shed,
    Sync,
    TimeSlice,
    Words,
)
from triptych.schemas.values import MAX_NS

_unhurried = settings(deadline=None)


def _exactly(alphabet: st.SearchStrategy[str], longest: int) -> st.SearchStrategy[str]:
    """Draw text of any length, including the maximum."""
    return st.one_of(st.text(alphabet, min_size=1, max_size=40), alphabet.map(lambda one: one * longest))


streams = _exactly(st.sampled_from("azAZ09._-"), 128)
numbers = st.one_of(st.sampled_from([0, 1, MAX_NS - 1, MAX_NS]), st.integers(0, MAX_NS))
# Attributes contain no control characters. Characters of four bytes test that the longest text fits a header.
_attribute = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
texts = st.text(st.characters(codec="utf-8"), min_size=1)
finite = st.floats(allow_nan=False, allow_infinity=False)
measures = st.none() | st.floats(-1e9, 1e9)


def _sources() -> st.SearchStrategy[str]:
    return _exactly(_attribute.filter(lambda one: one != "@"), 2048)


@st.composite
def _common(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "stream": draw(streams),
        "id": draw(_exactly(_attribute, 1024)),
        "source": draw(_sources()),
        "session": draw(_exactly(_attribute, 128)),
        "tracks": tuple(draw(st.lists(st.sampled_from(MODALITIES), unique=True))),
        "start_ns": draw(numbers),
        "next_ns": draw(st.none() | numbers),
        "redriven": draw(st.booleans()),
    }


@st.composite
def _spans(draw: st.DrawFn) -> dict[str, Any]:
    start_ns = draw(st.integers(0, MAX_NS - 1))
    end_ns = draw(st.integers(start_ns + 1, MAX_NS))
    return draw(_common()) | draw(_media()) | {"start_ns": start_ns, "end_ns": end_ns}


@st.composite
def _media(draw: st.DrawFn) -> dict[str, Any]:
    return {"seq": draw(st.none() | numbers), "av_offset_ms": draw(measures), "drift_ppm": draw(measures)}


@st.composite
def frames(draw: st.DrawFn) -> VideoFrame:
    """Draw a frame."""
    pixels = st.none() | st.integers(1, 65_535)
    return VideoFrame(
        **draw(_common()),
        **draw(_media()),
        content_type=draw(st.sampled_from(["image/jpeg", "image/png", "image/webp"])),
        data=draw(st.binary(min_size=1)),
        width=draw(pixels),
        height=draw(pixels),
    )


@st.composite
def chunks(draw: st.DrawFn) -> AudioChunk:
    """Draw a chunk."""
    return AudioChunk(
        **draw(_spans()),
        content_type=draw(st.sampled_from(["audio/wav", "audio/flac"])),
        data=draw(st.binary(min_size=1)),
        sample_rate_hz=draw(st.none() | st.integers(1, 1_000_000)),
    )


@st.composite
def cues(draw: st.DrawFn) -> SubtitleCue:
    """Draw a cue."""
    language = st.from_regex(r"\A[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,6}\Z")
    return SubtitleCue(
        **draw(_spans()),
        text=draw(texts),
        language=draw(st.none() | language),
        generated=draw(st.booleans()),
        generated_by=draw(st.none() | st.sampled_from(["whisper-tiny.en", "org/model:2"])),
    )


@st.composite
def controls(draw: st.DrawFn) -> Progress | End:
    """Draw a control record."""
    kinds: list[type[Progress | End]] = [Progress, End]
    return draw(st.sampled_from(kinds))(**draw(_common()), modality=draw(st.sampled_from(MODALITIES)))


@st.composite
def letters(draw: st.DrawFn) -> DeadLetter:
    """Draw a dead letter."""
    return DeadLetter(
        pipeline=draw(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")),
        topic=draw(_exactly(st.sampled_from("az.-"), 249)),
        partition=draw(numbers),
        offset=draw(numbers),
        arrival_ns=draw(numbers),
        reason=draw(texts.filter(lambda text: any(one.isprintable() and not one.isspace() for one in text))),
        key=draw(st.none() | st.binary()),
        value=draw(st.binary()),
        headers=tuple(draw(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.binary())))),
    )


@st.composite
def _reports(draw: st.DrawFn) -> ModalityReport:
    return ModalityReport(
        state=draw(st.sampled_from(["present", "held", "empty", "idle", "absent"])),
        items=draw(numbers),
        used=draw(numbers),
        gaps=draw(numbers),
        repairs=draw(numbers),
        partition=draw(st.none() | numbers),
        offsets=draw(st.none() | st.tuples(numbers, numbers)),
    )


_labels = st.lists(st.builds(LabelScore, label=texts, score=finite), max_size=3).map(tuple)
_predictions = st.lists(
    st.builds(Prediction, label=texts, score=finite, confidence=st.none() | finite), max_size=3
).map(tuple)


@st.composite
def _observations(draw: st.DrawFn) -> Observations:
    return Observations(
        visual=draw(_labels),
        sound=draw(_labels),
        speech_share=draw(st.none() | finite),
        loudness_lufs=draw(st.none() | finite),
        words=tuple(draw(st.lists(st.builds(Words, text=texts, start_ns=numbers, end_ns=numbers), max_size=3))),
        language=draw(st.none() | texts),
    )


@st.composite
def results(draw: st.DrawFn) -> Result:
    """Draw a result."""
    stream, revision, start_ns = draw(streams), draw(numbers), draw(st.integers(0, MAX_NS - 1))
    end_ns = draw(st.integers(start_ns + 1, MAX_NS))
    share = st.none() | finite
    return Result(
        id=result_id(stream, start_ns, end_ns, revision),
        stream=stream,
        start_ns=start_ns,
        end_ns=end_ns,
        revision=revision,
        closed_by=draw(st.sampled_from(["progress", "end", "idle", "quiet", "bound"])),
        skipped=draw(numbers),
        published_ns=draw(numbers),
        arrival_ms=Arrival(first=draw(st.none() | numbers), last=draw(st.none() | numbers)),
        modalities=Modalities(video=draw(_reports()), audio=draw(_reports()), subtitles=draw(_reports())),
        sync=Sync(offset_ms=draw(st.none() | finite), drift_ppm=draw(st.none() | finite)),
        shed=draw(st.builds(Shed, video=numbers, audio=numbers, subtitles=numbers, model=st.booleans())),
        dead=draw(numbers),
        model=ModelReference(name=draw(texts), version=draw(texts), sha256=draw(texts)),
        observations=draw(_observations()),
        predictions=draw(st.dictionaries(texts, _predictions, max_size=2)),
        shares=draw(st.none() | st.builds(Shares, video=share, audio=share, subtitles=share)),
        when=tuple(
            draw(st.lists(st.builds(TimeSlice, start_ns=numbers, end_ns=numbers, contribution=finite), max_size=3))
        ),
        embedding=draw(st.none() | st.lists(finite, max_size=4).map(tuple)),
        novelty=draw(st.none() | finite),
        stage_ms=draw(st.dictionaries(texts, finite, max_size=3)),
    )


@_unhurried
@given(record=st.one_of(frames(), chunks(), cues(), controls()), tail=st.lists(st.tuples(st.text(), st.binary())))
def test_an_input_record_round_trips(record: InputRecord, tail: list[tuple[str, bytes]]) -> None:
    """Every kind, with and without each optional field, with the largest values, and headers in any order."""
    key, value, headers = encode(record)
    strangers = tuple((f"x-{name}", content) for name, content in tail)
    assert decode(key, value, (*reversed(headers), *strangers)) == record
    assert decode(key, value, headers, modality=record.modality) == record
    assert all(content.decode() for _, content in headers)


@_unhurried
@given(result=results())
def test_a_result_round_trips(result: Result) -> None:
    """Every field, with a value or null; finite floats exactly."""
    message = encode_result(result, pipeline="night")
    assert decode_result(*message) == result
    assert dict(message.headers)["ce_source"] == b"/triptych/pipelines/night"


@_unhurried
@given(letter=letters())
def test_a_dead_letter_round_trips(letter: DeadLetter) -> None:
    """The record is preserved: its key (null, empty or not text), its value, its headers in order."""
    message = encode_dead(letter)
    assert decode_dead(*message) == letter
    assert all(content.decode() is not None for _, content in message.headers)


@pytest.mark.parametrize("tracks", [("audio", "video"), ("subtitles", "audio", "video")])
def test_tracks_have_one_order(tracks: tuple[Modality, ...]) -> None:
    """Two producers that list the same tracks in different order send the same value."""
    record = Progress(
        stream="a",
        id="1",
        source="s",
        session="x",
        start_ns=0,
        modality="video",
        tracks=tracks,
    )
    assert record.tracks == tuple(modality for modality in MODALITIES if modality in tracks)
    assert decode(*encode(record)) == record
