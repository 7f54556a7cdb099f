"""The parts of a live feed that need no feed: waits, drift, the queue, the book of sessions."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from triptych.producers.live.backoff import MAX_DELAY_S, Backoff
from triptych.producers.live.live_queue import LiveQueue
from triptych.producers.live.session_state import SessionState
from triptych.producers.session.clock_drift import SPAN_NS, DriftMeter
from triptych.schemas.records import AudioChunk, End, InputRecord, SubtitleCue, VideoFrame

S = 1_000_000_000
COMMON = {"stream": "feed", "source": "rtsp://camera", "tracks": ("video", "audio", "subtitles")}


def frame(number: int, session: str = "a", size: int = 1_000) -> VideoFrame:
    """Return a picture of this size."""
    return VideoFrame(
        **COMMON, session=session, id=f"v{number}", seq=number, start_ns=number * S, next_ns=number * S + 1,
        data=b"x" * size, width=2, height=2,
    )  # fmt: skip


def chunk(number: int, size: int = 1_000) -> AudioChunk:
    """Return a second of sound of this size."""
    return AudioChunk(
        **COMMON, session="a", id=f"a{number}", seq=number, start_ns=number * S, end_ns=(number + 1) * S,
        next_ns=(number + 1) * S, data=b"x" * size, sample_rate_hz=16_000,
    )  # fmt: skip


def words(number: int) -> SubtitleCue:
    """Return words."""
    return SubtitleCue(
        **COMMON, session="a", id=f"s{number}", seq=number, start_ns=number * S, end_ns=(number + 2) * S,
        next_ns=number * S, text="words",
    )  # fmt: skip


# --- backoff ----------------------------------------------------------------------------------------------------------


def test_waits_double_up_to_a_bound_and_begin_anew() -> None:
    """Without luck they are at their longest."""
    backoff = Backoff(lambda: 1.0)
    waits = [backoff.next_delay_s() for _ in range(9)]
    backoff.reset()

    assert waits[:4] == [0.5, 1, 2, 4]
    assert waits[-1] == MAX_DELAY_S
    assert backoff.next_delay_s() == waits[0]


def test_no_two_feeds_wait_alike() -> None:
    """A wait lies anywhere in its upper half."""
    assert Backoff(lambda: 0.0).next_delay_s() == 0.25
    assert Backoff(lambda: 0.5).next_delay_s() == 0.375


# --- drift ------------------------------------------------------------------------------------------------------------


def drift_of(rate: float, seconds: int, burst_s: int = 1) -> DriftMeter:
    """Return the drift of a feed whose clock runs at this rate and that comes in bursts."""
    meter = DriftMeter()
    for second in range(seconds):
        meter.observe(round(second * rate * S), (second // burst_s * burst_s) * S)
    return meter


def test_a_clock_that_runs_true_does_not_drift() -> None:
    """Nor does one that comes in bursts of six seconds."""
    assert drift_of(1.0, 300).drift_ns == 0
    assert not drift_of(1.0, 300, burst_s=6).exceeds_limit


def test_a_clock_that_runs_slow_drifts() -> None:
    """One part in a hundred is more than a second within two minutes."""
    assert not drift_of(0.99, 60).exceeds_limit
    assert drift_of(0.99, 200).exceeds_limit


def test_a_delay_on_the_way_is_no_drift() -> None:
    """Of each span the least counts."""
    meter = DriftMeter()
    for second in range(3 * SPAN_NS // S):
        meter.observe(second * S, second * S + (4 * S if second % 5 else 0))

    assert meter.drift_ns == 0


# --- the queue --------------------------------------------------------------------------------------------------------


def contents(queue: LiveQueue) -> list[str]:
    """Take all there is, by id."""
    queue.close()
    found: list[str] = []
    while not queue.is_over:
        record = queue.take(0)
        assert record is not None
        found.append(record.id)
    return found


def test_a_live_feed_drops_its_oldest_pictures_first() -> None:
    """Then its oldest sound; never words, nor what ends a track."""
    dropped: list[InputRecord] = []
    queue = LiveQueue(dropped.append, max_bytes=4_100)
    for record in (frame(0), chunk(0), words(0), frame(1), frame(2), chunk(1), chunk(2), chunk(3)):
        queue.put(record, wait=False)

    assert [record.id for record in dropped] == ["v0", "v1", "v2", "a0"]
    assert contents(queue) == ["s0", "a1", "a2", "a3"]


@given(st.lists(st.integers(0, 5_000), max_size=40))
def test_what_waits_is_bounded(sizes: list[int]) -> None:
    """Whatever comes, no more than the bound and one record."""
    dropped: list[InputRecord] = []
    queue = LiveQueue(dropped.append, max_bytes=8_000)
    for number, size in enumerate(sizes):
        queue.put(frame(number, size=max(1, size)), wait=False)

    kept = contents(queue)
    assert len(kept) + len(dropped) == len(sizes)
    assert sum(max(1, sizes[int(one[1:])]) for one in kept) <= 8_000


def test_a_film_waits_for_room() -> None:
    """And loses nothing."""
    queue = LiveQueue(lambda _: None, max_bytes=3_000)
    putting = threading.Thread(target=lambda: [queue.put(frame(number), wait=True) for number in range(20)])
    putting.start()
    taken = [queue.take(5) for _ in range(20)]
    putting.join(5)

    assert [record.id for record in taken if record is not None] == [f"v{number}" for number in range(20)]


# --- the book of sessions ---------------------------------------------------------------------------------------------


def test_a_session_that_broke_off_is_ended_where_it_stood() -> None:
    """Every track that was announced, once, and no promise taken back."""
    state = SessionState()
    for record in (frame(0), chunk(0), frame(1), chunk(1)):
        state.observe(record)
    ends = list(state.ends())

    assert [(end.modality, end.start_ns // S, (end.next_ns or 0) // S) for end in ends] == [
        ("video", 1, 2),
        ("audio", 2, 2),
        ("subtitles", 0, 2),
    ]
    assert not list(state.ends())
    assert state.end_ns == 2 * S


def test_what_the_feed_has_ended_itself_is_not_ended_again() -> None:
    """As after a jump, when it went on in a new session."""
    state = SessionState()
    state.observe(frame(0))
    state.observe(End(**COMMON, session="a", id="end", start_ns=S, next_ns=S, modality="video"))

    assert [end.modality for end in state.ends()] == ["audio", "subtitles"]


def test_a_new_session_has_tracks_of_its_own() -> None:
    """What the one before it had does not count."""
    state = SessionState()
    state.observe(frame(0))
    state.observe(frame(5, session="b"))

    assert {end.session for end in state.ends()} == {"b"}
