"""Dead letters on an in-memory topic: each counted once, and redriven at most once under interruptions."""

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


class InterruptedRunError(Exception):
    """Any error that ends a program in the middle."""


class DeadLetterTopics:
    """The topics of a pipeline, and letters on them."""

    def __init__(self) -> None:
        """Create the topics."""
        self.transport = MemoryTransport(partitions=PARTITIONS)
        names = (*INPUT_TOPICS, dead_topic(PIPELINE))
        self.transport.admin().create([TopicSettings(name, partitions=PARTITIONS, replication=1) for name in names])
        self._offset = 0

    def write_letter(self, stream: str | None = "city", **fields: Any) -> DeadLetter:  # noqa: ANN401 - any field of a letter
        """Write a letter as a worker does, and return it."""
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

    def write_again(self, record: Record, code: DeadReason = DeadReason.BROKEN_MEDIA) -> DeadLetter:
        """Write the letter of a redriven record."""
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        return self.write_letter(**place, key=record.key, value=record.value, headers=record.headers, code=code)

    def send(self, message: Message) -> None:
        """Send a message."""
        publisher = self.transport.publisher()
        publisher.send(message).result(timeout=5)
        publisher.close(5)

    def records(self, *topics: str) -> list[Record]:
        """Return the records of topics."""
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
        """Redrive the selected letters."""
        dead = self.read()
        wanted = plan(dead, selection or Selection(), again=again).wanted
        return redrive(self.transport, dead, wanted, pipeline=PIPELINE)

    def states(self) -> Counter[str]:
        """Count the letters by state."""
        dead = self.read()
        return Counter(dead.state(letter) for letter in dead.newest())


@pytest.fixture
def box() -> DeadLetterTopics:
    """Empty topics."""
    return DeadLetterTopics()


# --- redriving --------------------------------------------------------------------------------------------------------


def test_a_redriven_record_is_complete_and_on_the_partition_of_its_key(box: DeadLetterTopics) -> None:
    """Key, value and headers are unchanged, followed by the marks; whatever its partition was before."""
    letters = [
        box.write_letter(stream, topic=topic) for stream in ("a", "b", "c") for topic in (VIDEO_TOPIC, AUDIO_TOPIC)
    ]

    assert box.redrive() == RedriveOutcome(redriven=6, already_redriven=0, failed=())

    back = {(r.topic, r.key): r for r in box.records(*INPUT_TOPICS)}
    for letter in letters:
        record = back[letter.topic, letter.key]
        assert record.partition == partition_of(letter.key or b"", PARTITIONS)
        marks = (("ce_redriven", b"true"), ("ce_letter", f"triptych/{letter.id}".encode()))
        assert (record.value, record.headers) == (letter.value, letter.headers + marks)


def test_redriving_twice_changes_nothing(box: DeadLetterTopics) -> None:
    """Two letters of the same record are one letter."""
    letter = box.write_letter()
    wire = encode_dead(letter)
    box.send(Message(dead_topic(PIPELINE), wire.key, wire.value, wire.headers, letter.partition))

    assert [box.redrive().redriven, box.redrive().redriven] == [1, 0]
    assert len(box.records(*INPUT_TOPICS)) == 1
    assert box.states() == {"redriven": 1}


class Failing:
    """A publisher that raises at its n-th message, before or after sending it."""

    def __init__(self, box: DeadLetterTopics, at: int, *, sent: bool) -> None:
        """Raise at message `at`."""
        self._publisher = box.transport.publisher()
        self._left, self._sent = at, sent

    def send(self, message: Message) -> Future[Delivered]:
        """Send, or raise."""
        self._left -= 1
        if self._left == 0:
            if self._sent:
                self._publisher.send(message)
            raise InterruptedRunError
        return self._publisher.send(message)

    def flush(self, timeout_s: float) -> None:
        """Flush."""
        self._publisher.flush(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Close."""
        self._publisher.close(timeout_s)


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("at", range(1, 10))
def test_a_run_interrupted_at_any_message_is_continued_without_duplicates(
    box: DeadLetterTopics, monkeypatch: pytest.MonkeyPatch, *, at: int, sent: bool
) -> None:
    """Each record is redriven once.

    There are nine messages: three marks before, three records, three marks after. Each is sent or not.
    """
    letters = [box.write_letter(stream) for stream in ("a", "b", "c")]
    failing = Failing(box, at, sent=sent)
    with monkeypatch.context() as patch:
        patch.setattr(box.transport, "publisher", lambda: failing)
        with pytest.raises(InterruptedRunError):
            box.redrive()

    outcome = box.redrive()

    assert sorted(r.value for r in box.records(*INPUT_TOPICS)) == [letter.value for letter in letters]
    assert outcome.redriven + outcome.already_redriven == 3 - sum(done_marks_before(at, sent=sent))
    assert box.states() == {"redriven": 3}
    assert box.redrive() == RedriveOutcome(0, 0, ())


def done_marks_before(at: int, *, sent: bool) -> Sequence[bool]:
    """Return which of the three letters were marked as done when message `at` failed."""
    return [at > number or (at == number and sent) for number in (7, 8, 9)]


def test_a_record_dead_lettered_again_is_only_redriven_on_request(box: DeadLetterTopics) -> None:
    """So no record circulates forever. `--again` redrives its newest form, once."""
    first = box.write_letter()
    box.redrive()
    [back] = box.records(*INPUT_TOPICS)
    second = box.write_again(back, DeadReason.MISSING_HEADER)

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


def test_letters_that_cannot_be_redriven_are_skipped_with_the_reason(box: DeadLetterTopics) -> None:
    """No key, an incomplete record, a topic that is not an input."""
    box.write_letter(None)
    box.write_letter(whole=False, value=b"", headers=())
    box.write_letter(topic="payments")
    planned = plan(box.read(), Selection(), again=False)

    assert planned.wanted == ()
    lines = list(redriven_lines(planned, RedriveOutcome(0, 0, ())))
    assert lines[:2] == ["0 redriven", "3 skipped:"]
    assert [line.partition(": ")[2] for line in sorted(lines[2:])] == [
        "it comes from payments, which is not an input topic",
        "it has no key, so it belongs to no stream",
        "its record was too large to be stored in the letter",
    ]


def test_redrive_headers_of_the_producer_are_replaced() -> None:
    """A repeated header would make the record invalid again."""
    letter = DeadLetterTopics().write_letter(
        headers=(("ce_redriven", b"yes"), ("ce_letter", b"x"), ("ce_redriven", b"no"))
    )
    assert [name for name, _ in redriven_message(letter).headers] == ["ce_redriven", "ce_letter"]


# --- selecting and counting -------------------------------------------------------------------------------------------


def test_letters_are_selected_by_stream_reason_and_time_and_counted(box: DeadLetterTopics) -> None:
    """Records that are neither letter nor mark are counted separately."""
    box.write_letter("a")
    box.write_letter("a")
    box.write_letter("b", code=DeadReason.FUTURE)
    box.write_letter("b", code=None)
    box.write_letter("b", code="of_tomorrow")
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
def test_an_invalid_since_is_rejected(text: str) -> None:
    """A time needs its zone."""
    with pytest.raises(UsageError, match="since: expected a time with its zone"):
        since_ns(text)


def test_since_is_a_time_or_an_age() -> None:
    """An age counts back from now."""
    assert since_ns(None) == 0
    assert since_ns("2026-01-01T00:00:00Z") == 1_767_225_600 * 10**9
    assert since_ns("9999-12-31T23:59:59Z") == 2**63 - 1
    assert 0 <= since_ns("1h") - since_ns("3601s") <= 2 * 10**9


# --- showing ----------------------------------------------------------------------------------------------------------


def test_a_letter_is_found_by_its_id_or_its_position_and_shown_in_full(box: DeadLetterTopics, tmp_path: Path) -> None:
    """Its value is written to a file with a matching name; an existing file is not overwritten."""
    box.write_letter("other")
    letter = box.write_letter(reason="\x1b[2Jbell\x07")
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
def test_a_missing_letter_is_a_usage_error(box: DeadLetterTopics, wanted: str) -> None:
    """The message says how to list the letters."""
    box.write_letter()
    with pytest.raises(UsageError, match="triptych dead list --each"):
        find_letter(box.transport, PIPELINE, wanted)


def test_an_invalid_letter_id_is_rejected() -> None:
    """Before the broker is queried."""
    with pytest.raises(UsageError, match="expected TOPIC/PARTITION/OFFSET of its record, or PARTITION:OFFSET"):
        find_letter(DeadLetterTopics().transport, PIPELINE, "the last one")


def test_sizes_have_three_digits() -> None:
    """With decimal units."""
    assert [size(count) for count in (0, 999, 40_213, 2_700_000_000)] == ["0 B", "999 B", "40.2 kB", "2.7 GB"]
