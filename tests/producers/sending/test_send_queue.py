"""What waits to be sent: its limits, its order, and what is dropped."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.producers.live.feed_records import COMMON, audio_chunk, subtitle_cue, video_frame
from triptych.producers.sending.limits import SendLimits
from triptych.producers.sending.send_queue import BUSY_NS, STALLED_NS, QueuedRecord, QueuedTrack, SendQueue
from triptych.schemas.names import MODALITIES, Modality
from triptych.schemas.records import End, InputRecord, MediaRecord, Progress

S = 1_000_000_000
KB = 1_000
ROOMY = SendLimits(max_bytes=10_000 * KB, max_lag_ns=60 * S, max_in_flight_bytes=10_000 * KB)


def control(kind: type[End | Progress], modality: Modality, second: int, session: str = "a") -> InputRecord:
    """Return a control record."""
    return kind(
        **COMMON, session=session, id=f"{kind.__name__}-{modality}-{second}", start_ns=second * S, next_ns=second * S,
        modality=modality,
    )  # fmt: skip


def offer_all(queue: SendQueue, *records: InputRecord, now_ns: int = 0) -> None:
    """Offer records of one feed that drops."""
    for record in records:
        queue.offer("feed", record, now_ns, drops=True)


def taken(queue: SendQueue, now_ns: int = 0) -> list[InputRecord]:
    """Take and acknowledge everything."""
    found: list[InputRecord] = []
    while (one := queue.take(now_ns)) is not None:
        found.append(one.record)
        queue.settle(one)
    return found


def ids(records: list[InputRecord]) -> list[str]:
    """Return the ids of records."""
    return [record.id for record in records]


def ids_of(dropped: list[QueuedRecord]) -> list[str]:
    """Return the ids of dropped records."""
    return [one.record.id for one in dropped]


# --- order ------------------------------------------------------------------------------------------------------------


def test_records_leave_in_the_order_in_which_they_came() -> None:
    """But sound may overtake pictures by 10 s, and words both by as much again."""
    queue = SendQueue(ROOMY)
    for second in range(12):
        offer_all(queue, video_frame(second), audio_chunk(second), now_ns=second * S)
    offer_all(queue, subtitle_cue(0), now_ns=11 * S)

    order = ids(taken(queue, now_ns=11 * S))
    assert order == [
        "a0", "a1", "s0", *(f"a{second}" for second in range(2, 10)), "v0", "a10", "v1", "a11",
        *(f"v{second}" for second in range(2, 12)),
    ]  # fmt: skip


def test_a_control_record_keeps_its_place_in_its_track() -> None:
    """The end of a session follows its last record, and precedes the next session."""
    queue = SendQueue(ROOMY)
    offer_all(queue, video_frame(0), control(End, "video", 1), video_frame(2, session="b"))
    assert ids(taken(queue)) == ["v0", "End-video-1", "v2"]


def test_a_progress_record_takes_the_place_of_the_one_before_it() -> None:
    """So silent tracks keep little in a long outage, and a watermark that is renewed all the time still goes out."""
    queue = SendQueue(ROOMY)
    offer_all(queue, control(Progress, "subtitles", 0), now_ns=0)
    offer_all(queue, control(Progress, "subtitles", 1), subtitle_cue(2), control(Progress, "subtitles", 3), now_ns=S)
    assert ids(taken(queue)) == ["Progress-subtitles-1", "s2", "Progress-subtitles-3"]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_the_oldest_pictures_go_first_then_the_oldest_sound_then_words() -> None:
    """Control records never."""
    queue = SendQueue(SendLimits(max_bytes=14 * KB, max_lag_ns=60 * S, max_in_flight_bytes=KB))
    dropped: list[str] = []
    for record in (
        video_frame(0), audio_chunk(0), subtitle_cue(0), control(End, "video", 0), video_frame(1, "b"), audio_chunk(1),
        audio_chunk(2), subtitle_cue(1), audio_chunk(3), audio_chunk(4),
    ):  # fmt: skip
        offer_all(queue, record)
        dropped += ids_of(queue.drop_excess())

    assert dropped == ["v0", "v1", "a0", "a1", "a2", "a3", "a4"]
    assert [name for name in ids(taken(queue)) if name.startswith(("s", "End"))] == ["s0", "s1", "End-video-0"]


def test_pictures_and_sound_beyond_the_maximum_age_are_dropped_and_words_are_kept() -> None:
    """Also the age of a link that is too slow counts."""
    queue = SendQueue(ROOMY)
    for second in range(4):
        offer_all(queue, video_frame(second), audio_chunk(second), subtitle_cue(second), now_ns=second * S)

    assert ids_of(queue.drop_old(62 * S)) == ["v0", "v1", "a0", "a1"]
    assert ids_of(queue.drop_old(62 * S, picture_age_ns=59 * S, sound_age_ns=70 * S)) == ["v2"]
    assert ids(taken(queue, 62 * S)) == ["s0", "s1", "s2", "s3", "a2", "a3", "v3"]


def test_a_source_that_waits_loses_nothing() -> None:
    """Not even to make room for another."""
    queue = SendQueue(SendLimits(max_bytes=5 * KB, max_lag_ns=60 * S, max_in_flight_bytes=KB))
    for number in range(3):
        queue.offer("file", video_frame(number), 0, drops=False)
        queue.offer("live", video_frame(number), 0, drops=True)

    dropped = [*queue.drop_excess(), *queue.drop_old(100 * S)]
    assert {one.track.feed for one in dropped} == {"live"}
    assert len(dropped) == 3


# --- watermarks -------------------------------------------------------------------------------------------------------


def test_dropped_records_leave_their_watermark_where_nothing_of_the_track_follows() -> None:
    """So the worker does not wait for pictures that never come. Several become one."""
    queue = SendQueue(ROOMY)
    for second in range(3):
        offer_all(queue, video_frame(second), audio_chunk(second), now_ns=second * S)
    assert len(queue.drop_old(70 * S)) == 6

    first, second = taken(queue, 70 * S)
    assert (first.modality, first.start_ns, first.watermark_ns) == ("audio", 3 * S, 3 * S)
    assert (second.modality, second.start_ns, second.watermark_ns) == ("video", 2 * S, 2 * S + 1)
    assert isinstance(first, Progress)
    assert isinstance(second, Progress)


def test_no_watermark_is_sent_before_a_record_that_has_a_later_one() -> None:
    """It would be a record more for each gap. The end of a session has none of the next."""
    queue = SendQueue(ROOMY)
    offer_all(queue, video_frame(0), video_frame(1), now_ns=0)
    offer_all(queue, video_frame(2), control(End, "video", 2), now_ns=S)
    queue.drop_old(60 * S + 1)
    assert ids(taken(queue, 61 * S)) == ["v2", "End-video-2"]

    offer_all(queue, video_frame(3, "b"), now_ns=61 * S)
    offer_all(queue, video_frame(4, "c"), now_ns=62 * S)
    queue.drop_old(121 * S + 1)
    assert ids(taken(queue, 122 * S)) == ["v3/dropped", "v4"]


def test_the_watermark_goes_out_while_the_pictures_of_a_track_have_no_room() -> None:
    """Each of them may be dropped in its turn, and the worker would call the track idle. At most twice a second."""
    queue = SendQueue(ROOMY)
    queue.window_bytes = 5 * KB
    queue.offer("other", video_frame(0, size=9 * KB), 0, drops=True)
    stuck = queue.take(0)
    for second in range(1, 4):
        offer_all(queue, video_frame(second), now_ns=second * S)
    assert queue.take(3 * S) is None

    assert ids_of(queue.drop_old(3 * S, picture_age_ns=S)) == ["v1"]
    (sent,) = taken(queue, 3 * S)
    assert (sent.id, sent.watermark_ns) == ("v1/dropped", S + 1)
    half = video_frame(2).model_copy(update={"start_ns": S + S // 4, "next_ns": S + S // 4, "id": "half"})
    queue.clear("feed")
    offer_all(queue, half, video_frame(3), now_ns=3 * S)
    assert ids_of(queue.drop_old(3 * S + 1, picture_age_ns=0)) == ["half", "v3"]
    offer_all(queue, video_frame(4), now_ns=4 * S)
    assert ids(taken(queue, 4 * S)) == ["v3/dropped"]

    assert stuck is not None
    queue.settle(stuck)
    assert ids(taken(queue, 4 * S)) == ["v4"]


# --- what is in flight ------------------------------------------------------------------------------------------------


def test_no_more_is_in_flight_than_the_window_holds_but_words_always_are() -> None:
    """A record that is larger than the window goes alone."""
    queue = SendQueue(ROOMY)
    queue.window_bytes = 5 * KB
    offer_all(queue, *(video_frame(number) for number in range(3)))
    first = queue.take(0)
    assert first is not None
    assert (queue.take(0), queue.was_limited) == (None, True)
    offer_all(queue, subtitle_cue(0))
    words = queue.take(0)
    assert words is not None
    assert words.record.id == "s0"

    offer_all(queue, video_frame(3, size=9 * KB))
    for one in (first, words):
        queue.settle(one)
    assert ids(taken(queue)) == ["v1", "v2", "v3"]


def test_a_track_that_is_not_acknowledged_does_not_hold_up_the_others() -> None:
    """The leader of its partition may be away while those of the others answer. It gets nothing more until it does."""
    queue = SendQueue(ROOMY)
    queue.window_bytes = 5 * KB
    offer_all(queue, video_frame(0, size=10 * KB), video_frame(1))
    stuck = queue.take(0)
    assert stuck is not None
    offer_all(queue, audio_chunk(0))
    assert queue.take(0) is None

    queue.drop_old(STALLED_NS + 1)
    sound = queue.take(STALLED_NS + 1)
    assert sound is not None
    assert sound.record.id == "a0"
    assert queue.take(STALLED_NS + 1) is None
    queue.settle(sound)
    queue.settle(stuck)
    assert ids(taken(queue, STALLED_NS + 1)) == ["v1"]


def test_a_link_that_is_busy_gets_no_more_pictures_and_sound() -> None:
    """Until it has acknowledged what it has: more would be late, and could not be dropped any more."""
    queue = SendQueue(ROOMY)
    offer_all(queue, video_frame(0), audio_chunk(0))
    one = queue.take(0)
    queue.drop_old(BUSY_NS + 1)
    assert queue.take(BUSY_NS + 1) is None
    offer_all(queue, subtitle_cue(0))
    words = queue.take(BUSY_NS + 1)
    assert one is not None
    assert words is not None
    queue.settle(one)
    queue.drop_old(BUSY_NS + 1)
    assert ids(taken(queue, BUSY_NS + 1)) == ["v0"]


def test_a_record_that_the_transport_did_not_take_is_the_next_of_its_track() -> None:
    """In order."""
    queue = SendQueue(ROOMY)
    offer_all(queue, video_frame(0), video_frame(1))
    one = queue.take(0)
    assert one is not None
    queue.give_back(one)
    assert ids(taken(queue)) == ["v0", "v1"]


def test_a_closed_feed_is_forgotten_once_nothing_is_kept_of_it() -> None:
    """Feeds come and go for months."""
    queue = SendQueue(ROOMY)
    offer_all(queue, video_frame(0))
    one = queue.take(0)
    queue.close("feed")
    assert len(list(queue.tracks_of("feed"))) == 1
    assert one is not None
    queue.settle(one)
    assert list(queue.tracks_of("feed")) == []
    assert queue.kept_bytes == queue.in_flight_bytes == queue.droppable_bytes == 0


# --- any course of events ---------------------------------------------------------------------------------------------

offers = st.tuples(
    st.just("offer"), st.sampled_from(["one", "two"]), st.sampled_from(MODALITIES), st.integers(1, 6_000)
)
steps = st.one_of(
    offers,
    offers,
    st.tuples(st.just("take")),
    st.tuples(st.just("settle"), st.integers(0, 9)),
    st.tuples(st.just("give_back")),
    st.tuples(st.just("wait"), st.integers(1, 3 * S)),
)
MAKE = {"video": video_frame, "audio": audio_chunk, "subtitles": subtitle_cue}


def made(feed: str, modality: Modality, number: int, size: int) -> MediaRecord:
    """Return a record of a feed, whose number is its second and `seq`."""
    record = subtitle_cue(number) if modality == "subtitles" else MAKE[modality](number, size=size)
    return record.model_copy(update={"stream": feed, "id": f"{feed}-{modality}-{number}"})


class Course:
    """A queue of two feeds, what was done to it, and what must always hold."""

    limits = SendLimits(max_bytes=24 * KB, max_lag_ns=8 * S, max_in_flight_bytes=6 * KB)

    def __init__(self) -> None:
        self.queue = SendQueue(self.limits)
        self.queue.window_bytes = 4 * KB
        self.now_ns = 0
        self.numbers: dict[tuple[str, Modality], int] = defaultdict(int)
        self.offered: list[str] = []
        self.in_flight: list[QueuedRecord] = []
        self.sent: list[InputRecord] = []
        self.dropped: list[QueuedRecord] = []

    def offer(self, feed: str, modality: Modality, size: int) -> None:
        """Offer a record, and drop what is too much: words only when there is nothing else."""
        record = made(feed, modality, self.numbers[feed, modality], size)
        self.numbers[feed, modality] += 1
        self.offered.append(record.id)
        self.queue.offer(feed, record, self.now_ns, drops=True)
        excess = self.queue.drop_excess()
        self.dropped += excess
        left = {one.record.modality for one in self.media_waiting()}
        gone = {one.record.modality for one in excess}
        assert "video" not in left or gone <= {"video"}
        assert "audio" not in left or gone <= {"video", "audio"}
        assert self.queue.droppable_bytes <= self.limits.max_bytes or not left

    def wait(self, length_ns: int) -> None:
        """Let time pass, and drop what is too old: no words."""
        self.now_ns += length_ns
        old = self.queue.drop_old(self.now_ns)
        self.dropped += old
        assert all(one.record.modality != "subtitles" for one in old)
        ages = [self.now_ns - one.offered_ns for one in self.media_waiting() if one.record.modality != "subtitles"]
        assert max(ages, default=0) <= self.limits.max_lag_ns

    def take(self) -> bool:
        """Send a record, if one may be sent."""
        one = self.queue.take(self.now_ns)
        if one is not None:
            assert self.queue.in_flight_bytes <= self.limits.max_in_flight_bytes or not self.in_flight
            self.in_flight.append(one)
            self.sent.append(one.record)
        return one is not None

    def settle(self, place: int) -> None:
        """Acknowledge a record in flight, in any order."""
        if self.in_flight:
            self.queue.settle(self.in_flight.pop(place % len(self.in_flight)))

    def give_back(self) -> None:
        """Put back the record that was sent last."""
        if self.in_flight and self.in_flight[-1].record is self.sent[-1]:
            self.queue.give_back(self.in_flight.pop())
            self.sent.pop()

    def finish(self) -> None:
        """Send and acknowledge everything."""
        for _ in range(len(self.in_flight)):
            self.settle(0)
        while self.take():
            self.settle(0)

    def tracks(self) -> list[QueuedTrack]:
        """Return all tracks."""
        return [track for feed in ("one", "two") for track in self.queue.tracks_of(feed)]

    def media_waiting(self) -> list[QueuedRecord]:
        """Return the media that wait."""
        return [one for track in self.tracks() for one in track.waiting if one.is_media]

    def check(self) -> None:
        """Check the accounts."""
        assert self.queue.kept_bytes == sum(track.kept_bytes for track in self.tracks())
        assert self.queue.in_flight_bytes == sum(one.size_bytes for one in self.in_flight)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=120))
def test_the_queue_keeps_its_limits_its_order_and_its_accounts(steps: list[tuple[Any, ...]]) -> None:
    """Never above the bytes, each track in order, words survive longest, and sent + dropped = offered."""
    course = Course()
    for name, *arguments in steps:
        getattr(course, name)(*arguments)
        course.check()
    course.finish()
    course.check()

    media = [record for record in course.sent if isinstance(record, MediaRecord)]
    assert sorted([*ids(media), *ids_of(course.dropped)]) == sorted(course.offered)
    assert course.queue.kept_bytes == course.queue.droppable_bytes == 0
    tracks: dict[tuple[str, Modality], list[InputRecord]] = defaultdict(list)
    for record in course.sent:
        tracks[record.stream, record.modality].append(record)
    for own in tracks.values():
        assert [one.watermark_ns for one in own] == sorted(one.watermark_ns for one in own)
        numbers = [one.seq for one in own if isinstance(one, MediaRecord)]
        assert numbers == sorted(set(numbers))


@settings(max_examples=100, deadline=None)
@given(st.lists(offers, min_size=1, max_size=60))
def test_after_any_outage_the_watermark_of_each_track_is_that_of_its_last_record(
    offered: list[tuple[Any, ...]],
) -> None:
    """Whether that record was sent or dropped: the worker need not wait."""
    course = Course()
    for _, *arguments in offered:
        course.offer(*arguments)
    course.wait(9 * S)
    course.finish()

    watermarks: dict[tuple[str, Modality], int] = {}
    for record in course.sent:
        watermarks[record.stream, record.modality] = record.watermark_ns
    last = {(feed, kind): made(feed, kind, count - 1, 1).watermark_ns for (feed, kind), count in course.numbers.items()}
    assert watermarks == last
