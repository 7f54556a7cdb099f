"""All kinds of invalid input through a real broker, and their dead letters: listed, shown, redriven."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.poison import Poison, poisons
from tests.e2e.programs import Installation, by_id
from tests.worker.world import Feed
from triptych.consumers.dead.letters import Selection, read_letters
from triptych.consumers.dead.redrive import plan
from triptych.schemas.codec import encode
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import decode_dead, is_mark
from triptych.schemas.names import MODALITY_OF, TOPIC_OF, dead_topic
from triptych.schemas.reasons import DeadReason
from triptych.transport.records import Delivered, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def send(here: Installation, messages: Iterable[Message]) -> list[Delivered]:
    """Send messages; return their positions."""
    with closing(here.transport()) as transport:
        publisher = transport.publisher()
        sent = [publisher.send(message) for message in messages]
        publisher.flush(30)
        return [future.result(timeout=0) for future in sent]


def ends(given: Sequence[Poison]) -> list[Message]:
    """Return the end records of the tracks whose media is valid for alignment."""
    messages = []
    for poison in given:
        feed = Feed(poison.name, tracks=(MODALITY_OF[poison.message.topic],))
        if poison.is_media:
            wire = encode(feed.end(feed.tracks[0], 1))
            messages.append(Message(TOPIC_OF[feed.tracks[0]], wire.key, wire.value, wire.headers))
    return messages


def letters(here: Installation) -> list[DeadLetter]:
    """Return the dead letters."""
    records = [record for record in here.records(dead_topic(here.pipeline)) if not is_mark(record.headers)]
    return [decode_dead(record.key, record.value, record.headers) for record in records]


def listed(here: Installation, *args: str) -> list[dict[str, Any]]:
    """Return the output of `triptych dead list`."""
    return [json.loads(line) for line in here.run("dead", "list", "--json", *args).succeeded().out.splitlines()]


def test_every_invalid_input_is_dead_lettered_and_redriven_once(
    install: Callable[..., Installation], tmp_path: Path
) -> None:
    """One worker reads all of them and continues. The letters are complete, counted once, and redriven at most once."""
    here = install()
    given = list(poisons())
    bad = [poison for poison in given if poison.code is not None]
    places = send(here, (poison.message for poison in given))
    send(here, [*ends(given), *(Message(TOPIC_OF[r.modality], *encode(r)) for r in Feed("city").play(4))])

    here.run("work", "--until-end").succeeded()

    by_place = {(letter.topic, letter.partition, letter.offset): letter for letter in letters(here)}
    assert {poison.code for poison in bad} == set(DeadReason) - {DeadReason.LATE, DeadReason.BAD_ANSWER}
    for poison, place in zip(given, places, strict=True):
        letter = by_place.pop((place.topic, place.partition, place.offset), None)
        assert (None if letter is None else letter.code) == poison.code, (poison.name, letter)
        if letter is not None:
            message = poison.message
            assert (letter.key, letter.value, letter.headers) == (message.key, message.value, message.headers)
            assert letter.whole
    assert not by_place
    results = by_id(here.in_topic())
    used = {r.stream: (r.modalities.audio.used, r.modalities.audio.repairs, r.dead) for r in results.values()}
    assert used["eight-bits"] == used["surround"] == (1, 0, 0)
    assert used["truncated-jpeg"] == used["lying-wav"] == (0, 0, 1)
    assert [result.dead for result in results.values() if result.stream == "city"] == [0, 0]

    check_list_and_show(here, tmp_path, bad, places[given.index(bad[0])])
    check_redrive(here, bad)
    assert by_id(here.in_topic()) == results


def check_list_and_show(here: Installation, folder: Path, bad: Sequence[Poison], first: Delivered) -> None:
    """Check the counts by reason, and one letter in full with its bytes in a file."""
    counts = {(row["reason"], row["stream"]): (row["letters"], row["waiting"]) for row in listed(here)}
    assert counts == {(str(poison.code), poison.name): (1, 1) for poison in bad}

    letter_id = f"{first.topic}/{first.partition}/{first.offset}"
    shown = json.loads(here.run("dead", "show", letter_id, "--json", "--out", str(folder)).succeeded().out)
    assert (shown["topic"], shown["partition"], shown["offset"]) == (
        first.topic,
        first.partition,
        first.offset,
    )
    assert (shown["code"], shown["key"], shown["state"]) == (bad[0].code, bad[0].name, "waiting")
    assert Path(shown["file"]).read_bytes() == bad[0].message.value


def check_redrive(here: Installation, bad: Sequence[Poison]) -> None:
    """Check that all are redriven, and that a second run does nothing."""
    first = here.run("dead", "redrive").succeeded()
    assert first.out.splitlines() == [f"{len(bad)} redriven"]
    worked = here.run("work", "--until-end").succeeded()

    with closing(here.transport()) as transport:
        dead = read_letters(transport, here.pipeline)
    states = Counter(dead.state(letter) for letter in dead.newest())
    media = [poison for poison in bad if poison.is_media]
    used = len(media) + 1  # the one on a wrong partition is now on the right one
    assert states == {"redriven": used, "dead_again": len(bad) - used}
    assert {event["stream"] for event in worked.events("redriven_items_late")} == {*(p.name for p in media), "stray"}

    assert here.run("dead", "redrive").succeeded().out == "0 redriven\n"
    assert len(plan(dead, Selection(code="missing_header"), again=True).wanted) == 1
