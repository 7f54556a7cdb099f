"""Rules 1 to 3: one sequence of three partitions, the arrival clock, and deadlines."""

from __future__ import annotations

from dataclasses import replace

from tests.worker.alignment.script import CONFIG, Reading, Script, closed, decide, ns, windows
from triptych.units import NS_PER_MS
from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.alignment.merge import QUERY_DELAY_NS, Merge

BEGIN = dict.fromkeys(READING_ORDER, 0)


def merge() -> Merge:
    """Return a merge that begins at the log's beginning."""
    return Merge(BEGIN, clock_margin_ns=CONFIG.clock_margin_ns)


def taken(sequence: Merge) -> list[Entry]:
    """Take all that may be taken."""
    entries = []
    while (entry := sequence.peek()) is not None:
        entries.append(entry)
        sequence.take()
    return entries


# --- rule 1: one sequence ---------------------------------------------------------------------------------------------


def test_records_are_taken_in_the_order_of_arrival_and_of_topic_where_that_is_equal() -> None:
    """(arrival, topic) orders the three partitions."""
    script = Script()
    third, fourth = script.video(0, at=2), script.video(1, at=3)
    second, first = script.cue(0, 1, at=2), script.audio(0, 1, at=2)
    sequence = merge()
    sequence.add_records([third, fourth, second, first], {"video": 2, "audio": 1, "subtitles": 1}, at_ns=0)
    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(9))

    assert taken(sequence) == [first, second, third, fourth]


def test_a_record_waits_while_another_partition_may_still_show_an_earlier_one() -> None:
    """Without a question, what comes first live need not be first in the log."""
    script = Script()
    video, audio = script.video(0, at=2), script.audio(0, 1, at=1)
    sequence = merge()
    sequence.add_records([video], {**BEGIN, "video": 1}, at_ns=0)

    assert taken(sequence) == []

    sequence.add_records([audio], {**BEGIN, "video": 1, "audio": 1}, at_ns=1)
    sequence.confirm_at_end(["subtitles", "audio", "video"], at_ns=1 + QUERY_DELAY_NS, wall_ns=ns(9))

    assert taken(sequence) == [audio, video]


def test_a_question_counts_only_for_records_that_were_fetched_before_it() -> None:
    """The answer must be younger than the record: otherwise an earlier arrival may have come in between."""
    video = Script().video(0, at=2)
    sequence = merge()
    sequence.confirm_at_end(READING_ORDER, at_ns=5 * NS_PER_MS, wall_ns=ns(2))
    sequence.add_records([video], {**BEGIN, "video": 1}, at_ns=5 * NS_PER_MS)

    assert sequence.peek() is None
    assert sequence.query_at_ns() == 5 * NS_PER_MS + QUERY_DELAY_NS

    sequence.confirm_at_end(["audio", "subtitles"], at_ns=5 * NS_PER_MS + QUERY_DELAY_NS, wall_ns=ns(2))

    assert sequence.peek() is video


def test_one_question_serves_all_records_of_a_poll() -> None:
    """Not one question for each record."""
    script = Script()
    frames = [script.video(second, at=second) for second in range(50)]
    sequence = merge()
    sequence.add_records(frames, {**BEGIN, "video": 50}, at_ns=0)
    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(99))

    assert taken(sequence) == frames


def test_arrival_is_the_running_maximum_of_append_times() -> None:
    """A broker whose clock steps back does not reorder its own partition."""
    script = Script()
    first, second, other = script.video(0, at=5), script.video(1, at=3), script.audio(0, 1, at=4)
    sequence = merge()
    sequence.add_records([first, second, other], {**BEGIN, "video": 2, "audio": 1}, at_ns=0)
    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(9))
    arrivals = []
    while (entry := sequence.peek()) is not None:
        arrivals.append((entry, sequence.arrival_ns()))
        sequence.take()

    assert arrivals == [(other, ns(4)), (first, ns(5)), (second, ns(5))]


# --- rule 2: the arrival clock ----------------------------------------------------------------------------------------


def test_the_clock_is_the_least_of_the_three_heads() -> None:
    """The next unread arrival, or the moment of asking less the margin."""
    script = Script()
    video, audio = script.video(0, at=7), script.audio(0, 1, at=5)
    sequence = merge()
    sequence.add_records([video, audio], {**BEGIN, "video": 1, "audio": 1}, at_ns=0)
    sequence.confirm_at_end(["subtitles"], at_ns=0, wall_ns=ns(6) + CONFIG.clock_margin_ns)

    assert sequence.clock_ns == ns(5)

    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(6) + CONFIG.clock_margin_ns)
    sequence.take()

    assert sequence.clock_ns == ns(5)  # audio was read, but nobody has asked since whether there is more

    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(6) + CONFIG.clock_margin_ns)

    assert sequence.clock_ns == ns(6)


def test_time_in_which_nothing_was_read_counts_for_nobodys_silence() -> None:
    """A worker that stood still for an hour finds nobody idle: it had not asked."""
    script = Script("video", "audio")
    script.video(0, at=100)
    script.audio(0, 1, at=100)
    reading = Reading()
    reading.read(*script.entries)
    reading.ask(101)
    fetched_an_hour_late = [script.video(2, at=101.5), script.audio(1, 3, at=108)]
    decisions = [*reading.read(*fetched_an_hour_late), *reading.ask(3700, ["subtitles"]), *reading.ask(3700)]

    assert closed(decisions)[0] == (0, 2, "progress")


def test_the_next_question_is_wanted_when_the_next_deadline_is_due_not_before() -> None:
    """Nothing arrives: ask once the idle timeout could have run out."""
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


# --- rule 3: deadlines ------------------------------------------------------------------------------------------------


def test_deadlines_run_one_by_one_each_at_its_own_time() -> None:
    """Video falls idle at 110 s and audio at 112 s: two decisions, not one."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.audio(0, 3, at=102, watermark=4)
    decisions = decide(script.entries, until=500)

    assert closed(decisions) == [(0, 2, "progress"), (2, 4, "idle")]
    assert windows(decisions)[2].snapshot.clock_ns == ns(110)

    script.entries[1] = replace(script.entries[1], watermark_ns=ns(3))
    decisions = decide(script.entries, until=500)

    assert closed(decisions) == [(0, 2, "progress"), (2, 4, "quiet")]
    assert windows(decisions)[2].snapshot.clock_ns == ns(112)


def test_a_deadline_runs_before_any_record_that_arrived_later() -> None:
    """Audio comes a millisecond after video fell idle: the window has closed."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    script.audio(0, 3, at=105, watermark=3)
    script.video(1, at=110.001)
    decisions = decide(script.entries, until=110.002)

    assert closed(decisions) == [(0, 2, "idle")]


def test_a_deadline_equal_to_a_records_arrival_runs_after_it() -> None:
    """The record arrived in time."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    script.audio(0, 3, at=105, watermark=3)
    script.video(1, at=110)

    assert closed(decide(script.entries, until=110.002)) == []


def test_deadlines_of_one_moment_run_by_stream_and_track() -> None:
    """The order does not depend on which stream came first."""
    script = Script()
    script.video(0, at=100, stream="b")
    script.video(0, at=100, stream="a")
    decisions = decide(script.entries, until=200)

    assert [window.stream for window in decisions if hasattr(window, "closed_by")] == ["a", "b"]


# --- reading ahead ----------------------------------------------------------------------------------------------------


def test_a_partition_far_ahead_of_the_others_is_paused() -> None:
    """Too many bytes, or too far in arrival time; the one whose head came first leads nobody in time."""
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


def test_a_partition_that_waits_for_an_answer_is_paused_at_its_byte_bound() -> None:
    """The leader of the other partitions is down and cannot be asked: memory stays bounded."""
    script = Script()
    script.audio(0, 1, at=1, size_bytes=1000)
    sequence = merge()
    sequence.add_records(script.entries, {**BEGIN, "audio": 1}, at_ns=0)

    assert sequence.too_far_ahead(max_bytes=100, max_lead_ns=ns(60)) == {"audio"}

    sequence.confirm_at_end(READING_ORDER, at_ns=QUERY_DELAY_NS, wall_ns=ns(2))

    assert taken(sequence) == script.entries
    assert sequence.too_far_ahead(max_bytes=100, max_lead_ns=ns(60)) == frozenset()
