"""Dead letters over a topic in memory: counted once, put back at most once, whatever breaks it off."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from triptych.consumers.dead.letters import DeadLetters, Selection, find_letter, grouped, read_letters
from triptych.consumers.dead.redrive import RedriveOutcome, plan, redrive
from triptych.consumers.dead.text import (
    file_name,
    full_description,
    full_lines,
    redriven_lines,
    size,
    table,
    write_value,
)
from triptych.consumers.subscription.since import since_ns
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import encode_dead, read_redrive_origin, redriven_message
from triptych.schemas.errors import UsageError
from triptych.schemas.names import AUDIO_TOPIC, INPUT_TOPICS, VIDEO_TOPIC, dead_topic
from triptych.schemas.partition import partition_of
from triptych.schemas.reasons import DeadReason
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Delivered, Message, Record, TopicPartition
from triptych.transport.topic_settings import TopicSettings

PIPELINE = "triptych"
PARTITIONS = 3
JPEG: tuple[tuple[str, bytes], ...] = (("content-type", b"image/jpeg"), ("ce_seq", b"4"), ("note", b"\xff"))


class BrokenOffError(Exception):
    """Stands for whatever ends a program in the middle."""


class Box:
    """The topics, and letters on them."""

    def __init__(self) -> None:
        """Make the topics."""
        self.transport = MemoryTransport(partitions=PARTITIONS)
        names = (*INPUT_TOPICS, dead_topic(PIPELINE))
        self.transport.admin().create([TopicSettings(name, partitions=PARTITIONS, replication=1) for name in names])
        self._offset = 0

    def bury(self, stream: str | None = "city", **fields: Any) -> DeadLetter:  # noqa: ANN401 - any field of a letter
        """Write a letter as a worker does; return it."""
        self._offset += 1
        usual: dict[str, Any] = {
            "pipeline": PIPELINE,
            "topic": VIDEO_TOPIC,
            "partition": self._offset % PARTITIONS,
            "offset": self._offset,
            "arrival_ns": 1_767_225_600 * 10**9,
            "reason": "why not",
            "code": DeadReason.BROKEN_MEDIA,
            "key": None if stream is None else stream.encode(),
            "value": f"value {self._offset}".encode(),
            "headers": JPEG,
        }
        letter = DeadLetter(**(usual | fields))
        wire = encode_dead(letter)
        self.send(Message(dead_topic(PIPELINE), wire.key, wire.value, wire.headers, letter.partition))
        return letter

    def bury_again(self, record: Record, code: DeadReason = DeadReason.BROKEN_MEDIA) -> DeadLetter:
        """Write the letter of a record that was put back."""
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        return self.bury(**place, key=record.key, value=record.value, headers=record.headers, code=code)

    def send(self, message: Message) -> None:
        """Send anything."""
        publisher = self.transport.publisher()
        publisher.send(message).result(timeout=5)
        publisher.close(5)

    def records(self, *topics: str) -> list[Record]:
        """Return what lies on topics."""
        tps = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        reader = self.transport.reader(dict.fromkeys(tps, 0))
        ends = reader.end_offsets(tps)
        found: list[Record] = []
        while any(reader.position(tp) < ends[tp] for tp in tps):
            found += reader.poll(1).records
        return found

    def read(self) -> DeadLetters:
        """Read the letters."""
        return read_letters(self.transport, PIPELINE)

    def redrive(self, selection: Selection | None = None, *, again: bool = False) -> RedriveOutcome:
        """Put back what is to be put back."""
        dead = self.read()
        wanted = plan(dead, selection or Selection(), again=again).wanted
        return redrive(self.transport, dead, wanted, pipeline=PIPELINE)

    def states(self) -> Counter[str]:
        """Count letters by what became of them."""
        dead = self.read()
        return Counter(dead.state(letter) for letter in dead.newest())


@pytest.fixture
def box() -> Box:
    """Fresh topics."""
    return Box()


# --- putting back -----------------------------------------------------------------------------------------------------


def test_a_record_comes_back_whole_to_its_topic_and_the_partition_of_its_key(box: Box) -> None:
    """Key, value and headers as they were, and behind them what it is; wherever it lay before."""
    letters = [box.bury(stream, topic=topic) for stream in ("a", "b", "c") for topic in (VIDEO_TOPIC, AUDIO_TOPIC)]

    assert box.redrive() == RedriveOutcome(redriven=6, already_redriven=0, failed=())

    back = {(r.topic, r.key): r for r in box.records(*INPUT_TOPICS)}
    for letter in letters:
        record = back[letter.topic, letter.key]
        assert record.partition == partition_of(letter.key or b"", PARTITIONS)
        marks = (("ce_redriven", b"true"), ("ce_letter", f"triptych/{letter.id}".encode()))
        assert (record.value, record.headers) == (letter.value, letter.headers + marks)


def test_putting_back_twice_changes_nothing(box: Box) -> None:
    """A letter of the same record that came twice to the topic is one letter, too."""
    letter = box.bury()
    wire = encode_dead(letter)
    box.send(Message(dead_topic(PIPELINE), wire.key, wire.value, wire.headers, letter.partition))

    assert [box.redrive().redriven, box.redrive().redriven] == [1, 0]
    assert len(box.records(*INPUT_TOPICS)) == 1
    assert box.states() == {"redriven": 1}


class Failing:
    """A publisher that breaks the program off at its n-th message: before it is sent, or after."""

    def __init__(self, box: Box, at: int, *, sent: bool) -> None:
        """Break off at message `at`."""
        self._publisher = box.transport.publisher()
        self._left, self._sent = at, sent

    def send(self, message: Message) -> Future[Delivered]:
        """Send, or break off."""
        self._left -= 1
        if self._left == 0:
            if self._sent:
                self._publisher.send(message)
            raise BrokenOffError
        return self._publisher.send(message)

    def flush(self, timeout_s: float) -> None:
        """Flush."""
        self._publisher.flush(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Close."""
        self._publisher.close(timeout_s)


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("at", range(1, 10))
def test_a_run_broken_off_at_any_message_is_gone_on_with_and_nothing_comes_back_twice(
    box: Box, monkeypatch: pytest.MonkeyPatch, *, at: int, sent: bool
) -> None:
    """Three marks before, three records, three marks after: each of the nine, sent or not. All come back, once."""
    letters = [box.bury(stream) for stream in ("a", "b", "c")]
    failing = Failing(box, at, sent=sent)
    with monkeypatch.context() as patch:
        patch.setattr(box.transport, "publisher", lambda: failing)
        with pytest.raises(BrokenOffError):
            box.redrive()

    outcome = box.redrive()

    assert sorted(r.value for r in box.records(*INPUT_TOPICS)) == [letter.value for letter in letters]
    assert outcome.redriven + outcome.already_redriven == 3 - sum(box_done_before(at, sent=sent))
    assert box.states() == {"redriven": 3}
    assert box.redrive() == RedriveOutcome(0, 0, ())


def box_done_before(at: int, *, sent: bool) -> Sequence[bool]:
    """Return which of the three letters were marked as done when message `at` broke off."""
    return [at > number or (at == number and sent) for number in (7, 8, 9)]


def test_what_is_refused_again_is_the_same_letter_and_comes_back_only_when_asked_for(box: Box) -> None:
    """So nothing goes round for ever; with `--again` its newest form is put back, once."""
    first = box.bury()
    box.redrive()
    [back] = box.records(*INPUT_TOPICS)
    second = box.bury_again(back, DeadReason.MISSING_HEADER)

    [newest] = box.read().newest()
    assert (newest.id, newest.previous_id, newest.code) == (second.id, first.id, "missing_header")
    assert box.states() == {"dead_again": 1}
    assert box.redrive().redriven == 0

    assert box.redrive(again=True).redriven == 1
    assert box.redrive(again=True).redriven == 0
    [_, last] = sorted(box.records(*INPUT_TOPICS), key=lambda record: record.offset)
    assert read_redrive_origin(last.headers) == (PIPELINE, second.id)
    assert [name for name, _ in last.headers].count("ce_redriven") == 1
    assert box.states() == {"redriven": 1}


def test_what_cannot_come_back_is_left_with_the_reason(box: Box) -> None:
    """No key, no whole record, no topic of ours."""
    box.bury(None)
    box.bury(whole=False, value=b"", headers=())
    box.bury(topic="payments")
    planned = plan(box.read(), Selection(), again=False)

    assert planned.wanted == ()
    lines = list(redriven_lines(planned, RedriveOutcome(0, 0, ())))
    assert lines[:2] == ["0 redriven", "3 skipped:"]
    assert [line.partition(": ")[2] for line in sorted(lines[2:])] == [
        "it comes from payments, which is not an input topic",
        "it has no key, so it belongs to no stream",
        "its record was too large to be stored in the letter",
    ]


def test_a_mark_of_the_producers_own_making_is_replaced() -> None:
    """A header that stands twice would make the record unreadable for good."""
    letter = Box().bury(headers=(("ce_redriven", b"yes"), ("ce_letter", b"x"), ("ce_redriven", b"no")))
    assert [name for name, _ in redriven_message(letter).headers] == ["ce_redriven", "ce_letter"]


# --- choosing and counting --------------------------------------------------------------------------------------------


def test_letters_are_chosen_by_stream_reason_and_time_and_counted_by_reason_and_stream(box: Box) -> None:
    """What is neither letter nor mark is told apart."""
    box.bury("a")
    box.bury("a")
    box.bury("b", code=DeadReason.FUTURE)
    box.bury("b", code=None)
    box.bury("b", code="of_tomorrow")
    box.send(Message(dead_topic(PIPELINE), b"", b"junk"))
    dead = box.read()
    letters = list(dead.newest())

    counts = [(group.code, group.stream, group.letters) for group in grouped(dead, letters)]
    assert counts == [("broken_media", "a", 2), ("future", "b", 1), ("of_tomorrow", "b", 1), ("unknown", "b", 1)]
    assert dead.unreadable == 1
    assert [letter.code for letter in letters if Selection(stream="b", code="unknown").includes(letter)] == ["unknown"]
    assert not [letter for letter in letters if Selection(since_ns=2**62).includes(letter)]
    assert table(grouped(dead, letters)).row_count == 4


@pytest.mark.parametrize("text", ["yesterday", "2026-01-01T00:00:00", "5", "3 d", ""])
def test_a_since_that_is_neither_moment_nor_age_is_explained(text: str) -> None:
    """A moment needs its zone."""
    with pytest.raises(UsageError, match="since: expected a time with its zone"):
        since_ns(text)


def test_a_moment_or_an_age_says_since_when() -> None:
    """An age counts back from now."""
    assert since_ns(None) == 0
    assert since_ns("2026-01-01T00:00:00Z") == 1_767_225_600 * 10**9
    assert 0 <= since_ns("1h") - since_ns("3601s") <= 2 * 10**9


# --- showing ----------------------------------------------------------------------------------------------------------


def test_a_letter_is_found_by_its_records_place_or_its_own_and_shown_whole(box: Box, tmp_path: Path) -> None:
    """Its value goes to a file named after it and what it is; a file that is there is not overwritten."""
    box.bury("other")
    letter = box.bury(reason="\x1b[2Jbell\x07")
    dead, found, whole = find_letter(box.transport, PIPELINE, letter.id)
    place = f"{found.tp.partition}:{found.at}"

    assert whole == letter
    assert find_letter(box.transport, PIPELINE, place)[1] == found
    said = full_description(dead, found, whole)
    assert json.loads(json.dumps(said))["headers"] == [
        ["content-type", "image/jpeg"],
        ["ce_seq", "4"],
        ["note", r"b'\xff'"],
    ]
    assert all(line.isprintable() for line in full_lines(said))
    path = write_value(tmp_path, found, whole)
    assert (path.name, path.read_bytes()) == (f"{letter.id.replace('/', '-')}.jpg", letter.value)
    with pytest.raises(UsageError, match="does not exist yet"):
        write_value(tmp_path, found, whole)
    assert file_name(found, letter.model_copy(update={"headers": ()})).endswith(".bin")


@pytest.mark.parametrize("wanted", ["triptych.video/1/99", "1:99", "77:0"])
def test_a_letter_that_is_not_there_is_a_users_mistake(box: Box, wanted: str) -> None:
    """The message says where to look."""
    box.bury()
    with pytest.raises(UsageError, match="triptych dead list --each"):
        find_letter(box.transport, PIPELINE, wanted)


def test_a_letter_is_named_by_a_place() -> None:
    """Nothing is asked of a broker for anything else."""
    with pytest.raises(UsageError, match="expected TOPIC/PARTITION/OFFSET of its record, or PARTITION:OFFSET"):
        find_letter(Box().transport, PIPELINE, "the last one")


def test_sizes_are_short() -> None:
    """To three digits."""
    assert [size(count) for count in (0, 999, 40_213, 2_700_000_000)] == ["0 B", "999 B", "40.2 kB", "2.7 GB"]
