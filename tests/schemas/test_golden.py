"""Messages of version 1 as they were first written: they remain readable, and are still written in this form.

A golden message is never changed. A new version gets its own folder next to `golden/v1`, which stays.
"""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from triptych.schemas.codec import decode, decode_result, encode, encode_result
from triptych.schemas.dead import DeadLetter, RedriveMark
from triptych.schemas.dead_codec import decode_dead, decode_mark, encode_dead, encode_mark
from triptych.schemas.envelope import Wire
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.perception.description_codec import decode_description, encode_description
from triptych.schemas.perception.descriptions import (
    DescribedMedia,
    Description,
    DescriptionAnswer,
    DescriptionCost,
    WindowLikeness,
)
from triptych.schemas.perception.matches import Match, MatchEvidence
from triptych.schemas.perception.objects import Detection, ObjectCount
from triptych.schemas.perception.vectors import Vectors, encode_vector
from triptych.schemas.reasons import DeadReason
from triptych.schemas.recommending.interaction_codec import decode_interaction, encode_interaction
from triptych.schemas.recommending.interactions import Interaction, ItemText, RecommendationRecord, UserProfile
from triptych.schemas.records import AudioChunk, End, InputRecord, Progress, SubtitleCue, VideoFrame
from triptych.schemas.results import (
    Added,
    Arrival,
    LabelScore,
    Modalities,
    ModalityReport,
    ModelReference,
    Observations,
    Prediction,
    Quality,
    Result,
    Revised,
    Shares,
    Shed,
    Sync,
    Words,
)

_START = 1_767_225_600_000_000_000
_SECOND = 1_000_000_000
_ALL = ("video", "audio", "subtitles")
_CITY = {"stream": "city", "source": "file:///clips/city.mkv", "session": "01JGFJJZ00", "tracks": _ALL}

# A black image of 2 by 2 pixels (PNG) and ten samples of silence (WAV, 16 kHz mono s16).
_PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAC0lEQVR4nGNgQAYAAA4AAamRc7EAAAAASUVORK5CYII=")
_WAV = (
    b"RIFF\x38\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00"
    b"data\x14\x00\x00\x00" + bytes(20)
)

INPUTS: dict[str, InputRecord] = {
    "video_frame": VideoFrame(
        **_CITY,
        id="01JGFJJZ00/video/7",
        start_ns=_START + 250_000_000,
        next_ns=_START + 500_000_000,
        seq=7,
        content_type="image/png",
        data=_PNG,
        width=2,
        height=2,
    ),
    "video_frame_of_a_foreign_producer": VideoFrame(
        stream="gate-3", id="1", source="//cameras/gate-3", session="a", start_ns=0, data=_PNG, content_type="image/png"
    ),
    "video_frame_of_a_measured_session": VideoFrame(
        **_CITY,
        id="01JGFJJZ00/video/8",
        start_ns=_START + 500_000_000,
        next_ns=_START + 750_000_000,
        seq=8,
        content_type="image/png",
        data=_PNG,
        av_offset_ms=-12.5,
        drift_ppm=40,
    ),
    "audio_chunk_of_a_measured_session": AudioChunk(
        **_CITY,
        id="01JGFJJZ00/audio/1",
        start_ns=_START + 625_000,
        end_ns=_START + 1_250_000,
        seq=1,
        data=_WAV,
        av_offset_ms=300,
    ),
    "audio_chunk": AudioChunk(
        **_CITY,
        id="01JGFJJZ00/audio/0",
        start_ns=_START,
        end_ns=_START + 625_000,
        next_ns=_START + 625_000,
        seq=0,
        data=_WAV,
        sample_rate_hz=16_000,
    ),
    "subtitles_cue": SubtitleCue(
        **_CITY,
        id="01JGFJJZ00/subtitles/1",
        start_ns=_START + _SECOND,
        end_ns=_START + 3 * _SECOND,
        next_ns=_START + 4 * _SECOND,
        seq=1,
        text="« Où est la gare ? »\n東京 🚉",
        language="fra",
    ),
    "subtitles_cue_generated_and_redriven": SubtitleCue(
        **_CITY,
        id="01JGFJJZ00/subtitles/2",
        start_ns=_START + 5 * _SECOND,
        end_ns=_START + 6 * _SECOND,
        text="heard by a machine",
        language="pt-BR",
        generated=True,
        redriven=True,
    ),
    "subtitles_cue_generated_by_a_model": SubtitleCue(
        **_CITY,
        id="01JGFJJZ00/subtitles/3",
        start_ns=_START + 7 * _SECOND,
        end_ns=_START + 8 * _SECOND,
        next_ns=_START + 8 * _SECOND,
        seq=3,
        text="heard by a machine that says which",
        language="en",
        generated=True,
        generated_by="whisper-tiny.en",
    ),
    "progress": Progress(
        **_CITY,
        id="01JGFJJZ00/subtitles/progress/3",
        start_ns=_START + 2 * _SECOND,
        next_ns=_START + 4 * _SECOND,
        modality="subtitles",
    ),
    "end": End(**_CITY, id="01JGFJJZ00/video/end", start_ns=_START + 15 * _SECOND, modality="video"),
}

_RESULT = Result(
    id="city/1767225600000000000-1767225602000000000/0",
    stream="city",
    start_ns=_START,
    end_ns=_START + 2 * _SECOND,
    closed_by="progress",
    published_ns=_START + 3 * _SECOND,
    modalities=Modalities(
        video=ModalityReport(state="absent"),
        audio=ModalityReport(state="empty"),
        subtitles=ModalityReport(state="idle"),
    ),
    model=ModelReference(name="null", version="1", sha256=""),
)

RESULTS: dict[str, Result] = {
    "result_with_words_that_were_heard": _RESULT.model_copy(
        update={
            "observations": Observations(
                words=(
                    Words(
                        text="heard by a machine that says which",
                        start_ns=_START,
                        end_ns=_START + _SECOND,
                        generated=True,
                        generated_by="whisper-tiny.en",
                    ),
                ),
                language="en",
            )
        }
    ),
    "result_that_is_a_revision": _RESULT.model_copy(
        update={
            "id": "city/1767225600000000000-1767225602000000000/2",
            "revision": 2,
            "revised": Revised(added=Added(video=1, audio=4)),
        }
    ),
    "result_with_nothing_filled": _RESULT,
    "result_that_may_still_be_completed": _RESULT.model_copy(
        update={"closed_by": "quiet", "revisable_until_ns": _START + 602 * _SECOND}
    ),
    "result_for_which_no_model_was_asked": _RESULT.model_copy(
        update={"shed": Shed(video=4, audio=2, subtitles=1, model=True)}
    ),
    "result_with_quality": _RESULT.model_copy(
        update={
            "quality": Quality(
                brightness=0.5,
                dark_share=0.125,
                change=0.0,
                sharpness=0.625,
                layout="0f0f33aa5577c1e2",
                level_dbfs=-23.5,
                clipped_share=0.0,
                flags=("frozen",),
            )
        }
    ),
    "result_with_objects_vectors_and_matches": _RESULT.model_copy(
        update={
            "shed": Shed(detections=1),
            "detections": (
                Detection(time_ns=_START, label="person", score=0.75, box=(10, 20, 110, 220), track=4),
                Detection(time_ns=_START, label="face", score=0.5, box=(40, 30, 60, 55)),
            ),
            "counts": {
                "people": ObjectCount(median=1.0, largest=1),
                "person": ObjectCount(median=1.0, largest=1, entered=1, left=2, passages=3),
            },
            "vectors": Vectors(space="semantic-1", fused=encode_vector((1.0, 0.0)), video=encode_vector((0.6, 0.8))),
            "matches": {
                "fire": Match(
                    score=0.9,
                    log_odds=2.25,
                    quantile=0.99,
                    evidence=MatchEvidence(video=3.5, subtitles=0.25),
                    at_ns=_START,
                )
            },
            "prompts_version": "7",
        }
    ),
    "result_with_all_filled": _RESULT.model_copy(
        update={
            "id": "city/1767225600000000000-1767225602000000000/1",
            "revision": 1,
            "closed_by": "idle",
            "skipped": 3,
            "arrival_ms": Arrival(first=1_767_225_600_100, last=1_767_225_602_100),
            "modalities": Modalities(
                video=ModalityReport(
                    state="present", items=8, used=4, gaps=1, repairs=2, partition=3, offsets=(120, 127)
                ),
                audio=ModalityReport(state="present", items=4, used=4, partition=3, offsets=(60, 63)),
                subtitles=ModalityReport(state="present", items=1, used=1, partition=3, offsets=(5, 5)),
            ),
            "sync": Sync(offset_ms=-12.5, drift_ppm=0.25),
            "shed": Shed(video=4),
            "dead": 1,
            "model": ModelReference(name="lite0-silero", version="1", sha256="ab" * 32),
            "observations": Observations(
                visual=(LabelScore(label="traffic light", score=0.75),),
                sound=(LabelScore(label="Speech", score=0.5),),
                speech_share=0.83,
                loudness_lufs=-21.4,
                words=(Words(text="Où est la gare ?", start_ns=_START + _SECOND, end_ns=_START + 3 * _SECOND),),
                language="fra",
            ),
            "predictions": {"scene": (Prediction(label="street", score=0.9, confidence=0.8),)},
            "shares": Shares(video=0.5, audio=0.25, subtitles=0.25),
            "embedding": (0.5, -0.25),
            "novelty": 0.125,
            "stage_ms": {"prepare": 12.5, "infer": 80.0},
        }
    ),
}

DEAD: dict[str, DeadLetter] = {
    "dead_letter": DeadLetter(
        pipeline="triptych",
        topic="triptych.audio",
        partition=3,
        offset=61,
        arrival_ns=_START,
        reason="ce_startns: expected a decimal number, got no such header",
        key=b"city",
        value=_WAV,
        headers=(("ce_type", b"triptych.audio.chunk"), ("traceparent", b"00-01-02-00"), ("traceparent", b"twice")),
    ),
    "dead_letter_that_is_not_text": DeadLetter(
        pipeline="triptych",
        topic="triptych.video",
        partition=0,
        offset=0,
        arrival_ns=_START,
        reason="key: expected UTF-8",
        key=b"\xff\xfe",
        value=b"",
        headers=(("ce_id", b"\x80"), ("original-ce_id", b"")),
    ),
    "dead_letter_without_a_key": DeadLetter(
        pipeline="night.2",
        topic="triptych.subtitles",
        partition=5,
        offset=9,
        arrival_ns=_START,
        reason="key: expected a stream id",
        key=None,
        value=b"text",
        headers=(),
    ),
    "dead_letter_that_is_not_whole": DeadLetter(
        pipeline="triptych",
        topic="triptych.video",
        partition=2,
        offset=17,
        arrival_ns=_START,
        reason="picture: expected at most 67108864 pixels, got 20000x20000",
        code=DeadReason.TOO_LARGE,
        whole=False,
        key=b"city",
        value=b"",
        headers=(),
    ),
}

_DESCRIPTION = Description(
    result="city/1767225600000000000-1767225602000000000/0",
    prompt_hash="9ade13ad1d2d5d29",
    stream="city",
    start_ns=_START,
    end_ns=_START + 2 * _SECOND,
    published_ns=_START + 9 * _SECOND,
    model="qwen3-vl:8b",
    language="Deutsch",
    outcome="described",
    title="Ein Bahnhof am Abend",
    what_happens="Zwei Personen warten auf einen Zug.",
    who=("eine Frau", "ein Kind"),
    answers=(
        DescriptionAnswer(question="How many trains?", answer="keiner"),
        DescriptionAnswer(question='Does the window show what the prompt "fire" names?', answer="no", prompt="fire"),
    ),
    confidence=0.75,
    given=DescribedMedia(frames=4, cues=1, audio=True, missing=("audio: 1 of 2 records are missing",)),
    cost=DescriptionCost(input_tokens=2_500, output_tokens=120, usd=0.0062, estimated=True),
    likeness=WindowLikeness(space="s", vector="ADwAAA==", layout="0f0f33aa5577c1e2", words=("0123456789abcdef",)),
)

DESCRIPTIONS: dict[str, Description] = {
    "description": _DESCRIPTION,
    "description_that_was_refused": Description(
        **_DESCRIPTION.model_dump(include={"result", "prompt_hash", "stream", "start_ns", "end_ns", "published_ns"}),
        model="tiny",
        language="English",
        outcome="refused",
        reason="expected one JSON object, got none in: 'I see a street.'",
    ),
}

MARK = RedriveMark(pipeline="triptych", topic="triptych.video", partition=2, offset=17, state="done")


INTERACTIONS: dict[str, RecommendationRecord] = {
    "interaction_with_a_window": Interaction(
        user="0123456789abcdef0123456789abcdef",
        kind="window",
        item=f"city/{_START}-{_START + 2 * _SECOND}",
        action="watched",
        seconds=12.5,
        time_ns=_START + 9 * _SECOND,
    ),
    "interaction_with_a_feed": Interaction(
        user="0123456789abcdef0123456789abcdef", kind="feed", item="city", action="skipped", time_ns=_START
    ),
    "user_profile": UserProfile(
        user="0123456789abcdef0123456789abcdef", text="Züge und Häfen", language="de", time_ns=_START
    ),
    "item_text": ItemText(
        kind="clip",
        item="movielens-1",
        title="Toy Story",
        labels=("Animation", "Comedy"),
        language="en",
        time_ns=_START,
    ),
}


@pytest.mark.parametrize("name", INTERACTIONS)
def test_a_golden_record_of_interactions_round_trips(golden: dict[str, Wire], name: str) -> None:
    """The message decodes to the expected record, and the record encodes to the same bytes."""
    message, record = golden[name], INTERACTIONS[name]
    assert decode_interaction(*message) == record
    assert encode_interaction(record, pipeline="triptych") == message


@pytest.mark.parametrize("name", INPUTS)
def test_a_golden_input_record_round_trips(golden: dict[str, Wire], name: str) -> None:
    """The message decodes to the expected record, and the record encodes to the same bytes."""
    message, record = golden[name], INPUTS[name]
    assert decode(*message) == record
    assert decode(*message, modality=record.modality) == record
    assert encode(record) == message


@pytest.mark.parametrize("name", RESULTS)
def test_a_golden_result_round_trips(golden: dict[str, Wire], name: str) -> None:
    """The message decodes to the expected result, and the result encodes to the same bytes."""
    message, result = golden[name], RESULTS[name]
    assert decode_result(*message) == result
    assert encode_result(result, pipeline="triptych") == message


@pytest.mark.parametrize("name", DEAD)
def test_a_golden_dead_letter_round_trips(golden: dict[str, Wire], name: str) -> None:
    """The message decodes to the expected letter, and the letter encodes to the same bytes."""
    message, letter = golden[name], DEAD[name]
    assert decode_dead(*message) == letter
    assert encode_dead(letter) == message


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_golden_description_round_trips(golden: dict[str, Wire], name: str) -> None:
    """The message decodes to the expected description, and the description encodes to the same bytes."""
    message, description = golden[name], DESCRIPTIONS[name]
    assert decode_description(*message) == description
    assert encode_description(description, pipeline="triptych") == message


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("result", {"start_ns": _START + 1}),
        ("title", {"title": ""}),
        ("title", {"outcome": "refused"}),
        ("value.prompt_hash", {"prompt_hash": "short"}),
        ("value.confidence", {"confidence": 2}),
    ],
)
def test_a_description_that_contradicts_itself_is_malformed(field: str, changed: dict[str, object]) -> None:
    """The error names the field."""
    document = json.dumps(_DESCRIPTION.model_dump(mode="json") | changed).encode()
    headers = (("ce_specversion", b"1.0"), ("ce_type", b"triptych.description"))
    with pytest.raises(MalformedRecordError) as error:
        decode_description(b"city", document, headers)
    assert error.value.field.removeprefix("value.") == field.removeprefix("value.")
    with pytest.raises(MalformedRecordError, match="own stream"):
        decode_description(b"gate", _DESCRIPTION.model_dump_json().encode(), headers)


def test_a_golden_redrive_mark_round_trips(golden: dict[str, Wire]) -> None:
    """The message decodes to the expected mark, and the mark encodes to the same bytes."""
    message = golden["redrive_mark"]
    assert decode_mark(message.headers) == MARK
    assert encode_mark(MARK, moment_ns=_START) == message


def test_an_unknown_reason_is_decoded_as_text(golden: dict[str, Wire]) -> None:
    """A known reason is a `DeadReason`."""
    key, value, headers = golden["dead_letter_that_is_not_whole"]
    newer = [(name, b"of_tomorrow" if name == "ce_reasoncode" else text) for name, text in headers]
    assert decode_dead(key, value, headers).code is DeadReason.TOO_LARGE
    assert decode_dead(key, value, newer).code == "of_tomorrow"


def test_unknown_fields_of_a_newer_writer_are_ignored(golden: dict[str, Wire]) -> None:
    """At every level, and unknown headers too. Known fields are decoded."""
    assert decode_result(*golden["result_of_a_newer_writer"]) == RESULTS["result_with_nothing_filled"].model_copy(
        update={"schema_version": 2, "modalities": RESULTS["result_with_all_filled"].modalities}
    )


def test_every_golden_message_is_tested(golden: dict[str, Wire]) -> None:
    """No golden file is unused."""
    assert golden.keys() == {
        *INPUTS,
        *RESULTS,
        *DEAD,
        *DESCRIPTIONS,
        *INTERACTIONS,
        "redrive_mark",
        "result_of_a_newer_writer",
    }
