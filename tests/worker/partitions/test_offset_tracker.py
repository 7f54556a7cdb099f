"""Alignment rule 20: which records are finished, and so which offsets may be committed."""

from __future__ import annotations

from tests.worker.alignment.script import Reading, Script
from triptych.worker.alignment.decisions import ClosedWindow, DeadLettered, Forgotten
from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.partitions.offset_tracker import OffsetTracker, Pending

BEGIN = dict.fromkeys(READING_ORDER, 0)


class TrackedLog:
    """A log that is read and decided at once, with its offset tracker. The test publishes the decisions."""

    def __init__(self, *entries: Entry, until: float) -> None:
        """Read and decide. Publish nothing."""
        self.offset_tracker = OffsetTracker(BEGIN)
        self.pending: list[Pending] = []
        for entry in entries:
            self.offset_tracker.add(entry.modality, entry.offset, entry.stream)
        reading = Reading()
        for decision in [*reading.read(*entries), *reading.ask(until), *reading.ask(until)]:
            if isinstance(decision, ClosedWindow):
                self.pending.append(self.offset_tracker.await_result(decision.stream, decision.snapshot))
            elif isinstance(decision, DeadLettered) and not decision.counted:
                entry = decision.entry
                self.pending.append(self.offset_tracker.await_dead_letter(entry.modality, entry.offset, entry.stream))
            elif isinstance(decision, Forgotten):
                self.offset_tracker.forget(decision.stream, decision.positions)

    def publish(self, *indices: int) -> dict[str, int]:
        """Publish some decisions, or all of them without `indices`. Return the committable offsets."""
        for index in indices or range(len(self.pending)):
            self.offset_tracker.complete(self.pending[index])
        return dict(self.offset_tracker.committable())


def test_nothing_is_finished_before_its_result_is_published() -> None:
    """A decision alone finishes nothing."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    tracked = TrackedLog(*script.entries, until=101)

    assert tracked.offset_tracker.committable() == BEGIN
    assert tracked.offset_tracker.pending == 1
    assert tracked.offset_tracker.unfinished_streams() == ("city",)
    assert tracked.publish() == {**BEGIN, "audio": 1}
    assert tracked.offset_tracker.unfinished_streams() == ()


def test_a_record_is_needed_until_all_of_its_windows_are_published() -> None:
    """A cue in two windows waits for the second one."""
    script = Script("subtitles", "video")
    script.cue(1, 3, at=100, watermark=4)
    script.video(0, at=100, watermark=2)
    script.video(2, at=101, watermark=4)
    tracked = TrackedLog(*script.entries, until=102)

    assert tracked.publish(0)["subtitles"] == 0
    assert tracked.publish(1)["subtitles"] == 1


def test_a_frame_that_may_be_held_is_not_finished() -> None:
    """Its own window is published, but the next one may need it."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.audio(0, 2, at=100)
    tracked = TrackedLog(*script.entries, until=101)

    assert tracked.publish() == {"audio": 1, "video": 0, "subtitles": 0}


def test_control_late_and_duplicate_records_are_finished_by_the_next_result() -> None:
    """A result finishes every record that its snapshot is past, not only media."""
    script = Script("audio", "subtitles")
    script.audio(4, 6, at=100)
    script.progress("subtitles", 6, at=101, watermark=6)  # closes [4, 6)
    script.audio(0, 1, at=102, watermark=6)
    script.audio(0, 1, at=102, watermark=6, seq=1)
    script.end("subtitles", 6, at=103)
    tracked = TrackedLog(*script.entries, until=104)

    assert tracked.publish() == {**BEGIN, "audio": 1, "subtitles": 1}

    script.audio(6, 8, at=104)
    tracked = TrackedLog(*script.entries, until=105)

    assert tracked.publish() == {**BEGIN, "audio": 4, "subtitles": 2}


def test_progress_and_the_end_of_a_stream_are_finished_when_it_is_forgotten() -> None:
    """No result is past them."""
    script = Script("subtitles")
    script.progress("subtitles", 0, at=100, watermark=1)
    script.end("subtitles", 1, at=101)

    assert TrackedLog(*script.entries, until=699).offset_tracker.committable() == BEGIN
    assert TrackedLog(*script.entries, until=701).offset_tracker.committable() == {**BEGIN, "subtitles": 2}


def test_forgetting_waits_for_earlier_decisions() -> None:
    """The last window of the stream is still in flight."""
    script = Script("video")
    script.video(0, at=100)
    tracked = TrackedLog(*script.entries, until=900)

    assert tracked.offset_tracker.committable() == BEGIN
    assert tracked.publish() == {**BEGIN, "video": 1}


def test_the_slowest_stream_delays_the_offset_of_its_partition_only() -> None:
    """The lowest unfinished offset of each partition is committed."""
    script = Script()
    script.audio(0, 1, at=100, stream="slow", watermark=1)
    script.audio(0, 2, at=100, stream="fast")
    script.cue(0, 2, at=101, stream="other")
    tracked = TrackedLog(*script.entries, until=102)

    assert tracked.publish() == {**BEGIN, "subtitles": 1}


def test_publications_out_of_order_take_effect_in_the_order_of_decisions() -> None:
    """The second result is published first: a restart would still have to publish the first one."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    script.audio(2, 4, at=101)
    tracked = TrackedLog(*script.entries, until=102)

    assert tracked.publish(1) == BEGIN
    assert tracked.publish(0) == {**BEGIN, "audio": 2}


def test_a_record_without_a_stream_is_finished_by_its_dead_letter() -> None:
    """No result will be past it."""
    script = Script()
    script.dead("video", at=100, stream=None)
    tracked = TrackedLog(*script.entries, until=101)

    assert tracked.offset_tracker.committable() == BEGIN
    assert tracked.publish() == {**BEGIN, "video": 1}


def test_a_dead_record_of_a_known_stream_waits_for_the_window_that_counts_it() -> None:
    """Otherwise a restart would not count it."""
    script = Script("audio")
    script.audio(0, 1, at=100)
    script.dead("audio", at=100.5)

    assert TrackedLog(*script.entries, until=101).publish() == BEGIN

    script.audio(1, 2, at=101)

    assert TrackedLog(*script.entries, until=102).publish() == {**BEGIN, "audio": 3}


def test_a_restored_snapshot_finishes_its_records_when_they_are_read_again() -> None:
    """Records that the snapshot still needs stay unfinished."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    script.audio(1, 3, at=101)
    reading = Reading()
    (window,) = [
        decision
        for decision in [*reading.read(*script.entries), *reading.ask(102)]
        if isinstance(decision, ClosedWindow) and decision.start_ns == 0
    ]
    offset_tracker = OffsetTracker(BEGIN, {"city": window.snapshot})
    offset_tracker.add("audio", 0, "city")

    assert offset_tracker.committable() == {**BEGIN, "audio": 1}

    offset_tracker.add("audio", 1, "city")
    offset_tracker.add("audio", 2, "city")

    assert offset_tracker.committable() == {**BEGIN, "audio": 1}


def test_offsets_without_a_record_are_skipped() -> None:
    """Transaction markers and compaction leave gaps. The position is past them."""
    offset_tracker = OffsetTracker(BEGIN)
    offset_tracker.update_positions({**BEGIN, "video": 7})

    assert offset_tracker.committable() == {**BEGIN, "video": 7}
