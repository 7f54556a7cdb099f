"""When a record is due."""

from __future__ import annotations

from threading import Event

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.producers.live.feed_records import COMMON, S, audio_chunk, subtitle_cue, video_frame
from tests.producers.test_clock import SteppedClock
from triptych.producers.clock import RunningClock
from triptych.producers.pacing import MAX_MISSED_NS, Pacer, RecordPacer
from triptych.schemas.records import AudioChunk, End

clock = st.integers(0, 10**18)


@given(clock, clock, clock)
def test_in_real_time_the_wait_ends_when_the_record_is_due(began_ns: int, media_ns: int, now_ns: int) -> None:
    """Never earlier, and there is no wait for what is overdue."""
    wait_ns = Pacer(realtime=True, began_ns=began_ns).wait_ns(media_ns, monotonic_ns=now_ns)

    assert wait_ns >= 0
    assert now_ns + wait_ns >= began_ns + media_ns
    assert wait_ns == 0 or now_ns + wait_ns == began_ns + media_ns


@given(clock, clock, clock)
def test_fast_playback_never_waits(began_ns: int, media_ns: int, now_ns: int) -> None:
    """The speed of the broker is the pace."""
    pacer = Pacer(realtime=False, began_ns=began_ns)

    assert pacer.wait_ns(media_ns, monotonic_ns=now_ns) == 0
    assert pacer.behind_ns(media_ns, monotonic_ns=now_ns) == 0


# --- suspension -------------------------------------------------------------------------------------------------------


def paced(clock: SteppedClock, *, realtime: bool = True) -> RecordPacer:
    """Return the pacer of a source that begins now."""
    return RecordPacer(RunningClock(clock), Event(), realtime=realtime, start_at_ns=0)


def test_a_file_in_real_time_skips_what_was_due_while_the_program_was_suspended() -> None:
    """It goes on at the present, with the same event times. Words that are still on the screen are not missed."""
    clock = SteppedClock()
    pacer = paced(clock)
    assert not pacer.pace(video_frame(1)).is_missed
    clock.monotonic += 40 * S

    with capture_logs():
        after = [pacer.pace(record) for record in (video_frame(2), audio_chunk(39), subtitle_cue(39), subtitle_cue(40))]
        control = pacer.pace(End(**COMMON, session="a", id="e", start_ns=3 * S, modality="video"))
        present = pacer.pace(video_frame(41))
        coming = pacer.pace(video_frame(43))

    assert [one.is_missed for one in after] == [True, True, True, False]
    assert not control.is_missed
    assert (present.is_missed, present.behind_ns, present.record) == (False, 0, video_frame(41))
    assert (coming.is_missed, coming.behind_ns, clock.monotonic) == (False, 0, 43 * S)


def test_after_a_long_suspension_a_file_goes_on_where_it_was_at_the_present_event_time() -> None:
    """To skip hours of it would take long."""
    clock = SteppedClock()
    pacer = paced(clock)
    pacer.pace(video_frame(1))
    gap_ns = MAX_MISSED_NS + S
    clock.monotonic += gap_ns

    with capture_logs():
        frame = pacer.pace(video_frame(2))
        chunk = pacer.pace(audio_chunk(2)).record
    assert not frame.is_missed
    assert (frame.record.start_ns, frame.record.watermark_ns) == (2 * S + gap_ns, 2 * S + 1 + gap_ns)
    assert isinstance(chunk, AudioChunk)
    assert (chunk.start_ns, chunk.end_ns, chunk.seq) == (2 * S + gap_ns, 3 * S + gap_ns, 2)
    assert clock.monotonic == gap_ns + 3 * S


def test_fast_playback_goes_on_where_it_was_suspended() -> None:
    """Nothing of it is due at any time."""
    clock = SteppedClock()
    pacer = paced(clock, realtime=False)
    clock.monotonic += 40 * S
    with capture_logs():
        frame = pacer.pace(video_frame(1))
    assert (frame.is_missed, frame.record) == (False, video_frame(1))
