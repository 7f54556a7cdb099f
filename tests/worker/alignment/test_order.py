"""Alignment rules 1 to 3: one sequence of three partitions, the arrival clock, and deadlines."""

from __future__ import annotations

from dataclasses import replace

from tests.worker.alignment.script import BY_ARRIVAL, CONFIG, Reading, Script, closed, decide, ns, windows
from triptych.units import NS_PER_MS
from triptych.worker.alignment.aligner import NextWakeup
from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.alignment.merge import QUERY_DELAY_NS, Merge

BEGIN = dict.fromkeys(READING_ORDER, 0)


def merge() -> Merge:
    """Return a merge that starts at the beginning of the log."""
    return Merge(BEGIN, clock_margin_ns=CONFIG.clock_margin_ns)


def taken(sequence: Merge) -> list[Entry]:
    """Take all records that can be taken."""
    entries = []
    while (head := sequence.peek()) is not None:
        entries.append(head[2])
        sequence.take()
    return entries


# --- rule 1: one sequence ---------------------------------------------------------------------------------------------


def test_records_are_taken_in_the_order_of_arrival_then_of_topic() -> None:
    """Three of the four records arrive at the same time."""
    script = Script()
    third, fourth = script.video(0, at=2), script.video(1, at=3)
    second, first = script.cue(0, 1, at=2), script.audio(0, 1, at=2)
    sequence = merge()
    sequence.add_records([third, fourth, second, first], {"video": 2, "audio": 1, "subtitles": 1}, at_ns=0)
    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(9))

    assert taken(sequence) == [first, second, third, fourth]


def test_a_record_waits_while_another_partition_may_have_an_earlier_one() -> None:
    """Without an end-offset query, the first record fetched need not be the first in the log."""
    script = Script()
    video, audio = script.video(0, at=2), script.audio(0, 1, at=1)
    sequence = merge()
    sequence.add_records([video], {**BEGIN, "video": 1}, at_ns=0)

    assert taken(sequence) == []

    sequence.add_records([audio], {**BEGIN, "video": 1, "audio": 1}, at_ns=1)
    sequence.confirm_at_end(["subtitles", "audio", "video"], at_ns=1 + QUERY_DELAY_NS, wall_ns=ns(9))

    assert taken(sequence) == [audio, video]


def test_an_end_offset_query_counts_only_for_records_fetched_before_it() -> None:
    """Otherwise a record with an earlier arrival time may have been appended in between."""
    video = Script().video(0, at=2)
    sequence = merge()
    sequence.confirm_at_end(READING_ORDER, at_ns=5 * NS_PER_MS, wall_ns=ns(2))
    sequence.add_records([video], {**BEGIN, "video": 1}, at_ns=5 * NS_PER_MS)

    assert sequence.peek() is None
    assert sequence.query_at_ns() == 5 * NS_PER_MS + QUERY_DELAY_NS

    sequence.confirm_at_end(["audio", "subtitles"], at_ns=5 * NS_PER_MS + QUERY_DELAY_NS, wall_ns=ns(2))

    head = sequence.peek()
    assert head is not None
    assert head[2] is video


def test_one_end_offset_query_serves_all_records_of_a_poll() -> None:
    """No query for each record is needed."""
    script = Script()
    frames = [script.video(second, at=second) for second in range(50)]
    sequence = merge()
    sequence.add_records(frames, {**BEGIN, "video": 50}, at_ns=0)
    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(99))

    assert taken(sequence) == frames


def test_the_arrival_time_is_the_running_maximum_of_append_times() -> None:
    """A broker whose clock is set back does not reorder its partition."""
    script = Script()
    first, second, other = script.video(0, at=5), script.video(1, at=3), script.audio(0, 1, at=4)
    sequence = merge()
    sequence.add_records([first, second, other], {**BEGIN, "video": 2, "audio": 1}, at_ns=0)
    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(9))
    arrivals = []
    while (head := sequence.peek()) is not None:
        arrivals.append((head[2], head[0]))
        sequence.take()

    assert arrivals == [(other, ns(4)), (first, ns(5)), (second, ns(5))]


# --- rule 2: the arrival clock ----------------------------------------------------------------------------------------


def test_the_arrival_clock_is_the_minimum_over_the_partitions() -> None:
    """Of the next unread arrival, or the time of the query less the margin."""
    script = Script()
    video, audio = script.video(0, at=7), script.audio(0, 1, at=5)
    sequence = merge()
    sequence.add_records([video, audio], {**BEGIN, "video": 1, "audio": 1}, at_ns=0)
    sequence.confirm_at_end(["subtitles"], at_ns=0, wall_ns=ns(6) + CONFIG.clock_margin_ns)

    assert sequence.clock_ns == ns(5)

    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(6) + CONFIG.clock_margin_ns)
    sequence.take()

    assert sequence.clock_ns == ns(5)  # audio is read, but no query since says that it is at its end

    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(6) + CONFIG.clock_margin_ns)

    assert sequence.clock_ns == ns(6)


def test_time_in_which_the_worker_does_not_read_does_not_count_as_silence() -> None:
    """After a pause of an hour no track is idle."""
    script = Script("video", "audio")
    script.video(0, at=100)
    script.audio(0, 1, at=100)
    reading = Reading()
    reading.read(*script.entries)
    reading.ask(101)
    fetched_an_hour_late = [script.video(2, at=101.5), script.audio(1, 3, at=108)]
    decisions = [*reading.read(*fetched_an_hour_late), *reading.ask(3700, ["subtitles"]), *reading.ask(3700)]

    assert closed(decisions)[0] == (0, 2, "progress")


def test_the_next_end_offset_query_is_due_with_the_next_deadline() -> None:
    """Nothing arrives: query when the idle timeout can have passed."""
    script = Script()
    script.video(0, at=100)
    reading = Reading()
    reading.read(*script.entries)
    reading.ask(100)
    next_wakeup = reading.aligner.next_wakeup()

    assert next_wakeup.at_ns is None
    assert next_wakeup.wall_ns == ns(110) + CONFIG.clock_margin_ns + 1

    reading.aligner.confirm_at_end(READING_ORDER, at_ns=1, wall_ns=next_wakeup.wall_ns)

    assert closed(reading.aligner.advance()) == [(0, 2, "quiet")]


def test_no_end_offset_query_is_due_while_a_record_can_be_taken() -> None:
    """A worker whose model is behind has records that it could take; their deadlines are long past by the wall clock.

    It asked the broker in every step: 340 times for 4,800 windows, which took three quarters of the time.
    """
    script = Script()
    for second in range(0, 40, 2):
        script.video(second, at=100 + second)
    reading = Reading()
    reading.read(*script.entries[:1])
    reading.ask(100)
    assert reading.aligner.next_wakeup().wall_ns is not None

    reading.aligner.add_records(script.entries[1:], {**BEGIN, "video": 20}, at_ns=1)
    reading.aligner.confirm_at_end(READING_ORDER, at_ns=1 + QUERY_DELAY_NS, wall_ns=ns(200))
    decisions = reading.aligner.advance()
    next(decisions)  # and the stages have no room for more

    assert reading.aligner.next_wakeup() == NextWakeup(at_ns=None, wall_ns=None)
    assert len(closed(decisions)) > 1
    assert reading.aligner.next_wakeup().wall_ns is not None


# --- rule 3: deadlines ------------------------------------------------------------------------------------------------


def test_deadlines_run_one_by_one_at_their_own_times() -> None:
    """Video becomes idle at 110 s and audio at 112 s: these are two decisions."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.audio(0, 3, at=102, watermark=4)
    decisions = decide(script.entries, until=500, config=BY_ARRIVAL)

    assert closed(decisions) == [(0, 2, "progress"), (2, 4, "idle")]
    assert windows(decisions)[2].snapshot.clock_ns == ns(110)

    script.entries[1] = replace(script.entries[1], watermark_ns=ns(3))
    decisions = decide(script.entries, until=500, config=BY_ARRIVAL)

    assert closed(decisions) == [(0, 2, "progress"), (2, 4, "quiet")]
    assert windows(decisions)[2].snapshot.clock_ns == ns(112)


def test_a_deadline_runs_before_any_record_that_arrived_later() -> None:
    """A frame arrives a millisecond after video became idle: the window has closed."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    script.audio(0, 3, at=105, watermark=3)
    script.video(1, at=110.001)
    decisions = decide(script.entries, until=110.002, config=BY_ARRIVAL)

    assert closed(decisions) == [(0, 2, "idle")]


def test_a_deadline_at_the_arrival_time_of_a_record_runs_after_it() -> None:
    """The record arrives in time."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    script.audio(0, 3, at=105, watermark=3)
    script.video(1, at=110)

    assert closed(decide(script.entries, until=110.002, config=BY_ARRIVAL)) == []


def test_deadlines_at_the_same_time_run_in_the_order_of_stream_and_track() -> None:
    """The order does not depend on which stream appeared first."""
    script = Script()
    script.video(0, at=100, stream="b")
    script.video(0, at=100, stream="a")
    decisions = decide(script.entries, until=200)

    assert [window.stream for window in decisions if hasattr(window, "closed_by")] == ["a", "b"]


# --- reading ahead ----------------------------------------------------------------------------------------------------


def test_a_partition_too_far_ahead_of_the_others_is_paused() -> None:
    """By bytes or by arrival time. The partition with the next record is never ahead in time."""
    script = Script()
    script.audio(0, 1, at=1, size_bytes=90)
    script.video(0, at=2, size_bytes=1000)
    script.cue(0, 1, at=3)
    script.audio(1, 2, at=500, size_bytes=5)
    sequence = merge()
    sequence.add_records(script.entries, {"audio": 2, "subtitles": 1, "video": 1}, at_ns=0)

    assert sequence.too_far_ahead(max_bytes=100, max_lead_ns=ns(60)) == {"video"}
    assert sequence.too_far_ahead(max_bytes=5000, max_lead_ns=ns(1.5)) == {"subtitles"}
    assert sequence.too_far_ahead(max_bytes=5000, max_lead_ns=ns(60)) == frozenset()


def test_a_partition_that_waits_for_end_offsets_is_paused_at_its_byte_bound() -> None:
    """The broker of the other partitions is down and does not answer: memory stays bounded."""
    script = Script()
    script.audio(0, 1, at=1, size_bytes=1000)
    sequence = merge()
    sequence.add_records(script.entries, {**BEGIN, "audio": 1}, at_ns=0)

    assert sequence.too_far_ahead(max_bytes=100, max_lead_ns=ns(60)) == {"audio"}

    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(2))

    assert taken(sequence) == script.entries
    assert sequence.too_far_ahead(max_bytes=100, max_lead_ns=ns(60)) == frozenset()
