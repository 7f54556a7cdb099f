"""What is measured of a session: how its sound lies to its picture, and its clock to the wall clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

import numpy as np
import pytest

from triptych.producers.session.av_skew import SkewMeter
from triptych.producers.session.clock_drift import DriftMeter
from triptych.producers.session.clock_measurement import LiveMeter, OnDemandMeter
from triptych.producers.session.playback import Playback
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.schemas.names import Modality
from triptych.schemas.records import AudioChunk, End, InputRecord, MediaRecord, VideoFrame

MS = 1_000_000
S = 1_000 * MS
EVERY_40_MS = range(0, 2_000, 40)
MakeFilm = Callable[..., Path]


def record(modality: Modality, at_ns: int, session: str = "a") -> InputRecord:
    """Return a record that was just made."""
    common = {"stream": "feed", "source": "rtsp://camera", "session": session, "id": "1", "start_ns": at_ns}
    if modality == "video":
        return VideoFrame(**common, data=b"x")
    return AudioChunk(**common, end_ns=at_ns + S // 2, data=b"x")


def said(record: InputRecord) -> tuple[float | None, float | None]:
    """Return what a record says of its session."""
    assert isinstance(record, MediaRecord)
    return record.av_offset_ms, record.drift_ppm


# --- films ------------------------------------------------------------------------------------------------------------


def test_a_film_says_how_much_later_its_sound_begins() -> None:
    """As soon as both have begun; of each session anew, and never a drift."""
    meter = OnDemandMeter()
    records = [record("video", 0), record("audio", 300 * MS), record("video", S), record("audio", 0, "b")]
    records += [record("video", 40 * MS, "b"), record("audio", S, "b")]
    end = End(stream="feed", source="a:b", session="b", id="end", start_ns=2 * S, modality="video")

    assert [said(meter.annotate(one)) for one in records] == [
        (None, None), (300, None), (300, None), (None, None), (-40, None), (-40, None)
    ]  # fmt: skip
    assert meter.annotate(end) is end


@pytest.mark.parametrize(("frame_ms", "sound_ms", "offset_ms"), [(EVERY_40_MS, 480, 480), (EVERY_40_MS[5:], 0, -200)])
def test_a_real_film_is_measured_by_its_own_time_stamps(
    make_film: MakeFilm, plan_of: Callable[..., PlaybackPlan], frame_ms: Iterable[int], sound_ms: int, offset_ms: float
) -> None:
    """Whichever of the two begins first."""
    sound = np.zeros((1, 16_000), np.int16)
    film = make_film(frame_ms=tuple(frame_ms), samples=sound, sound_at_ms=(sound_ms,))
    meter = OnDemandMeter()
    with Playback(plan_of(film)) as playback:
        annotate = [meter.annotate(one) for one in playback.records(0)]

    assert {said(one)[0] for one in annotate if isinstance(one, MediaRecord)} == {None, offset_ms}
    assert said(annotate[-1])[0] == offset_ms


# --- live feeds -------------------------------------------------------------------------------------------------------


def skew_of(arrivals: Iterable[tuple[str, int, int]]) -> SkewMeter:
    """Return a meter that has noted (track, time stamp, arrival) in order of arrival."""
    meter = SkewMeter()
    for track, at_ns, came_ns in sorted(arrivals, key=lambda arrival: arrival[2]):
        meter.observe(track, at_ns, came_ns)
    return meter


@pytest.mark.parametrize("behind_ms", [300, 0, -300])
def test_sound_that_comes_later_than_its_picture_lies_behind_it(behind_ms: int) -> None:
    """By as much, though the network delays every packet by up to half a second more."""
    luck = Random(7)  # noqa: S311 - a network
    video = [("video", at, at + S + luck.randrange(500) * MS) for at in range(0, 60 * S, 40 * MS)]
    audio = [("audio", at, at + S + (behind_ms + luck.randrange(500)) * MS) for at in range(0, 60 * S, 20 * MS)]

    offset_ns = skew_of([*video, *audio]).offset_ns

    assert offset_ns == pytest.approx(behind_ms * MS, abs=5 * MS)


def test_bursts_are_no_offset() -> None:
    """Six seconds of both tracks at once, as HLS brings them; the two differ by less than a packet."""
    video = [("video", at, at // (6 * S) * 6 * S + 6 * S) for at in range(0, 60 * S, 40 * MS)]
    audio = [("audio", at, at // (6 * S) * 6 * S + 6 * S) for at in range(0, 60 * S, 20 * MS)]

    assert abs(skew_of([*video, *audio]).offset_ns or 0) <= 20 * MS


def test_an_offset_is_known_after_a_second_and_of_two_tracks_only() -> None:
    """What was read while the feed was opened says nothing, nor does a track that has fallen silent."""
    short = [(track, at, S + at) for at in range(0, S, 40 * MS) for track in ("video", "audio")]
    assert skew_of(short).offset_ns is None
    assert skew_of(("video", at, S + at) for at in range(0, 9 * S, 40 * MS)).offset_ns is None
    silent = [*short, *(("video", at, S + at) for at in range(S, 70 * S, 40 * MS))]
    assert skew_of(silent).offset_ns is None
    assert skew_of(silent[: len(silent) // 4]).offset_ns == 0


@pytest.mark.parametrize("ppm", [100, 0, -250])
def test_a_clock_that_runs_wrong_is_measured_in_millionths(ppm: float) -> None:
    """Within the noise of the network, and two spans in which everything came late change nothing."""
    luck = Random(3)  # noqa: S311 - a network
    meter = DriftMeter()
    for number in range(10 * 60 * 10):
        wall_ns = number * S // 10
        late_ms = 400 if 100 < number // 10 < 160 else luck.randrange(200)
        meter.observe(round(wall_ns * (1 + ppm / 1e6)) - late_ms * MS, wall_ns)

    assert meter.ppm == pytest.approx(ppm, abs=25)


def test_a_drift_is_not_told_before_it_means_something() -> None:
    """It takes four spans."""
    meter = DriftMeter()
    for second in range(78):
        meter.observe(second * S, second * S)
    assert meter.ppm is None


def test_a_live_feed_is_measured_by_the_arrival_of_its_packets() -> None:
    """Its records say so from then on; those of another session say nothing of it."""
    wall_ns = [0]
    meter = LiveMeter(lambda: wall_ns[0])
    for wall_ns[0] in range(0, 120 * S, 40 * MS):
        meter.packet_arrived("a", "video", wall_ns[0])
        meter.packet_arrived("a", "audio", wall_ns[0] - 55 * MS)

    assert said(meter.annotate(record("video", 0))) == (55, 0)
    assert said(meter.annotate(record("audio", 0, "b"))) == (None, None)
    meter.packet_arrived("b", "video", 0)
    assert said(meter.annotate(record("audio", 0, "b"))) == (None, None)


def test_a_feed_that_has_run_away_is_said_so_once() -> None:
    """The next session begins anew."""
    wall_ns = [0]
    meter = LiveMeter(lambda: wall_ns[0])
    for wall_ns[0] in range(0, 200 * S, S):
        meter.packet_arrived("a", "video", wall_ns[0] * 99 // 100)

    assert [meter.needs_new_session(), meter.needs_new_session()] == [True, False]
