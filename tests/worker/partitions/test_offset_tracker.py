"""Rule 20: which records are finished, and so what may be committed."""

from __future__ import annotations

from tests.worker.alignment.script import Reading, Script
from triptych.worker.alignment.decisions import ClosedWindow, DeadLettered, Forgotten
from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.partitions.offset_tracker import OffsetTracker, Pending

BEGIN = dict.fromkeys(READING_ORDER, 0)


class Books:
    """A ledger kept for a log that is read by hand; what is decided is published when the test says so."""

    def __init__(self, *entries: Entry, until: float) -> None:
        """Read and decide, publish nothing."""
        self.offset_tracker = OffsetTracker(BEGIN)
        self.tickets: list[Pending] = []
        for entry in entries:
            self.offset_tracker.add(entry.modality, entry.offset, entry.stream)
        reading = Reading()
        for outcome in [*reading.read(*entries), *reading.ask(until), *reading.ask(until)]:
            if isinstance(outcome, ClosedWindow):
                self.tickets.append(self.offset_tracker.await_result(outcome.stream, outcome.snapshot))
            elif isinstance(outcome, DeadLettered) and not outcome.counted:
                entry = outcome.entry
                self.tickets.append(self.offset_tracker.await_dead_letter(entry.modality, entry.offset, entry.stream))
            elif isinstance(outcome, Forgotten):
                self.offset_tracker.forget(outcome.stream, outcome.positions)

    def publish(self, *indices: int) -> dict[str, int]:
        """Complete tickets (all of them without `indices`) and return what may be committed then."""
        for index in indices or range(len(self.tickets)):
            self.offset_tracker.complete(self.tickets[index])
        return dict(self.offset_tracker.committable())


def test_nothing_is_finished_before_its_result_is_published() -> None:
    """Decided is not published."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    books = Books(*script.entries, until=101)

    assert books.offset_tracker.committable() == BEGIN
    assert books.offset_tracker.pending == 1
    assert books.offset_tracker.unfinished_streams() == ("city",)
    assert books.publish() == {**BEGIN, "audio": 1}
    assert books.offset_tracker.unfinished_streams() == ()


def test_a_record_is_needed_until_every_window_it_belongs_to_is_published() -> None:
    """A cue across two windows waits for the second."""
    script = Script("subtitles", "video")
    script.cue(1, 3, at=100, watermark=4)
    script.video(0, at=100, watermark=2)
    script.video(2, at=101, watermark=4)
    books = Books(*script.entries, until=102)

    assert books.publish(0)["subtitles"] == 0
    assert books.publish(1)["subtitles"] == 1


def test_a_frame_that_may_have_to_stand_in_is_not_finished() -> None:
    """Its own window is published, yet the next one may need it."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.audio(0, 2, at=100)
    books = Books(*script.entries, until=101)

    assert books.publish() == {"audio": 1, "video": 0, "subtitles": 0}


def test_control_late_and_repeated_records_are_finished_by_the_next_result() -> None:
    """Whatever a result's state lies behind is finished, not media alone."""
    script = Script("audio", "subtitles")
    script.audio(4, 6, at=100)
    script.progress("subtitles", 6, at=101, watermark=6)  # closes [4, 6)
    script.audio(0, 1, at=102, watermark=6)
    script.audio(0, 1, at=102, watermark=6, seq=1)
    script.end("subtitles", 6, at=103)
    books = Books(*script.entries, until=104)

    assert books.publish() == {**BEGIN, "audio": 1, "subtitles": 1}

    script.audio(6, 8, at=104)
    books = Books(*script.entries, until=105)

    assert books.publish() == {**BEGIN, "audio": 4, "subtitles": 2}


def test_progress_and_the_end_of_a_stream_are_finished_when_it_is_forgotten() -> None:
    """Nothing published ever spoke of them."""
    script = Script("subtitles")
    script.progress("subtitles", 0, at=100, watermark=1)
    script.end("subtitles", 1, at=101)

    assert Books(*script.entries, until=699).offset_tracker.committable() == BEGIN
    assert Books(*script.entries, until=701).offset_tracker.committable() == {**BEGIN, "subtitles": 2}


def test_forgetting_waits_for_what_was_decided_before_it() -> None:
    """The last window of a stream is on its way still."""
    script = Script("video")
    script.video(0, at=100)
    books = Books(*script.entries, until=900)

    assert books.offset_tracker.committable() == BEGIN
    assert books.publish() == {**BEGIN, "video": 1}


def test_the_slowest_stream_holds_the_offset_back_but_no_other_partition() -> None:
    """Committed is the lowest unfinished offset of each partition."""
    script = Script()
    script.audio(0, 1, at=100, stream="slow", watermark=1)
    script.audio(0, 2, at=100, stream="fast")
    script.cue(0, 2, at=101, stream="other")
    books = Books(*script.entries, until=102)

    assert books.publish() == {**BEGIN, "subtitles": 1}


def test_what_is_published_out_of_order_counts_in_the_order_of_decisions() -> None:
    """The second result is out first: a restart would still have to make the first."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    script.audio(2, 4, at=101)
    books = Books(*script.entries, until=102)

    assert books.publish(1) == BEGIN
    assert books.publish(0) == {**BEGIN, "audio": 2}


def test_a_record_without_a_stream_is_finished_by_its_letter() -> None:
    """No result will ever speak of it."""
    script = Script()
    script.dead("video", at=100, stream=None)
    books = Books(*script.entries, until=101)

    assert books.offset_tracker.committable() == BEGIN
    assert books.publish() == {**BEGIN, "video": 1}


def test_a_dead_record_of_a_known_stream_waits_for_the_window_that_counts_it() -> None:
    """Otherwise a restart would forget to count it."""
    script = Script("audio")
    script.audio(0, 1, at=100)
    script.dead("audio", at=100.5)

    assert Books(*script.entries, until=101).publish() == BEGIN

    script.audio(1, 2, at=101)

    assert Books(*script.entries, until=102).publish() == {**BEGIN, "audio": 3}


def test_a_restored_state_finishes_its_records_as_they_are_read_again() -> None:
    """They are not waited for a second time; what the state keeps is."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    script.audio(1, 3, at=101)
    reading = Reading()
    (window,) = [
        outcome
        for outcome in [*reading.read(*script.entries), *reading.ask(102)]
        if isinstance(outcome, ClosedWindow) and outcome.start_ns == 0
    ]
    offset_tracker = OffsetTracker(BEGIN, {"city": window.snapshot})
    offset_tracker.add("audio", 0, "city")

    assert offset_tracker.committable() == {**BEGIN, "audio": 1}

    offset_tracker.add("audio", 1, "city")
    offset_tracker.add("audio", 2, "city")

    assert offset_tracker.committable() == {**BEGIN, "audio": 1}


def test_offsets_without_a_record_are_passed_over() -> None:
    """Transaction markers and compaction leave holes; the position says what comes next."""
    offset_tracker = OffsetTracker(BEGIN)
    offset_tracker.update_positions({**BEGIN, "video": 7})

    assert offset_tracker.committable() == {**BEGIN, "video": 7}
