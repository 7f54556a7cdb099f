"""The offset of audio to video and the clock drift, as written into the records of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from triptych.producers.session.clock_measurement import LiveMeter, OnDemandMeter
from triptych.producers.session.playback import Playback
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.schemas.names import Modality
from triptych.schemas.records import AudioChunk, End, InputRecord, MediaRecord, VideoFrame

MS = 1_000_000
S = 1_000 * MS
EVERY_40_MS = range(0, 2_000, 40)
MakeMedia = Callable[..., Path]


def record(modality: Modality, at_ns: int, session: str = "a") -> InputRecord:
    """Return a record."""
    common = {"stream": "feed", "source": "rtsp://camera", "session": session, "id": "1", "start_ns": at_ns}
    if modality == "video":
        return VideoFrame(**common, data=b"x")
    return AudioChunk(**common, end_ns=at_ns + S // 2, data=b"x")


def measurements(record: InputRecord) -> tuple[float | None, float | None]:
    """Return the offset and the drift in a record."""
    assert isinstance(record, MediaRecord)
    return record.av_offset_ms, record.drift_ppm


# --- on-demand sources ------------------------------------------------------------------------------------------------


def test_an_on_demand_source_has_the_offset_of_its_track_starts() -> None:
    """As soon as both tracks have begun, for each session anew, and never a drift."""
    meter = OnDemandMeter()
    records = [record("video", 0), record("audio", 300 * MS), record("video", S), record("audio", 0, "b")]
    records += [record("video", 40 * MS, "b"), record("audio", S, "b")]
    end = End(stream="feed", source="a:b", session="b", id="end", start_ns=2 * S, modality="video")

    assert [measurements(meter.annotate(one)) for one in records] == [
        (None, None), (300, None), (300, None), (None, None), (-40, None), (-40, None)
    ]  # fmt: skip
    assert meter.annotate(end) is end


@pytest.mark.parametrize(("frame_ms", "sound_ms", "offset_ms"), [(EVERY_40_MS, 480, 480), (EVERY_40_MS[5:], 0, -200)])
def test_a_file_is_measured_by_its_timestamps(
    make_media: MakeMedia,
    plan_of: Callable[..., PlaybackPlan],
    frame_ms: Iterable[int],
    sound_ms: int,
    offset_ms: float,
) -> None:
    """Whichever track begins first."""
    audio = np.zeros((1, 16_000), np.int16)
    media = make_media(frame_ms=tuple(frame_ms), samples=audio, sound_at_ms=(sound_ms,))
    meter = OnDemandMeter()
    with Playback(plan_of(media)) as playback:
        annotated = [meter.annotate(one) for one in playback.records(0)]

    assert {measurements(one)[0] for one in annotated if isinstance(one, MediaRecord)} == {None, offset_ms}
    assert measurements(annotated[-1])[0] == offset_ms


# --- live feeds -------------------------------------------------------------------------------------------------------


def test_a_live_feed_is_measured_by_the_arrival_of_its_packets() -> None:
    """Its records carry the measurements; those of another session do not."""
    wall_ns = [0]
    meter = LiveMeter(lambda: wall_ns[0])
    for wall_ns[0] in range(0, 120 * S, 40 * MS):
        meter.packet_arrived("a", "video", wall_ns[0])
        meter.packet_arrived("a", "audio", wall_ns[0] - 55 * MS)

    assert measurements(meter.annotate(record("video", 0))) == (55, 0)
    assert measurements(meter.annotate(record("audio", 0, "b"))) == (None, None)
    meter.packet_arrived("b", "video", 0)
    assert measurements(meter.annotate(record("audio", 0, "b"))) == (None, None)


def test_a_drift_requests_one_new_session() -> None:
    """The next session is measured anew."""
    wall_ns = [0]
    meter = LiveMeter(lambda: wall_ns[0])
    for wall_ns[0] in range(0, 200 * S, S):
        meter.packet_arrived("a", "video", wall_ns[0] * 99 // 100)

    assert [meter.needs_new_session(), meter.needs_new_session()] == [True, False]
