"""Everything bad at once through a real broker, and the dead letters that come of it: listed, shown, put back."""

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
    """Send messages; return where they lie."""
    with closing(here.transport()) as transport:
        publisher = transport.publisher()
        sent = [publisher.send(message) for message in messages]
        publisher.flush(30)
        return [future.result(timeout=0) for future in sent]


def ends(given: Sequence[Poison]) -> list[Message]:
    """Return the ends of the tracks whose media alignment takes."""
    messages = []
    for poison in given:
        feed = Feed(poison.name, tracks=(MODALITY_OF[poison.message.topic],))
        if poison.is_media:
            wire = encode(feed.end(feed.tracks[0], 1))
            messages.append(Message(TOPIC_OF[feed.tracks[0]], wire.key, wire.value, wire.headers))
    return messages


def letters(here: Installation) -> list[DeadLetter]:
    """Return the dead letters as they lie on their topic."""
    records = [record for record in here.records(dead_topic(here.pipeline)) if not is_mark(record.headers)]
    return [decode_dead(record.key, record.value, record.headers) for record in records]


def listed(here: Installation, *args: str) -> list[dict[str, Any]]:
    """Return what `triptych dead list` says."""
    return [json.loads(line) for line in here.run("dead", "list", "--json", *args).succeeded().out.splitlines()]


def test_every_bad_input_is_a_dead_letter_and_can_be_put_back_once(
    install: Callable[..., Installation], tmp_path: Path
) -> None:
    """One worker meets all of them and goes on; letters are whole, counted once, and put back at most once."""
    here = install()
    given = list(poisons())
    bad = [poison for poison in given if poison.code is not None]
    places = send(here, (poison.message for poison in given))
    send(here, [*ends(given), *(Message(TOPIC_OF[r.modality], *encode(r)) for r in Feed("city").play(4))])

    here.run("work", "--until-end").succeeded()

    by_place = {(letter.topic, letter.partition, letter.offset): letter for letter in letters(here)}
    assert {poison.code for poison in bad} == set(DeadReason) - {DeadReason.LATE}
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

    check_that_it_is_shown(here, tmp_path, bad, places[given.index(bad[0])])
    check_that_it_is_put_back_once(here, bad)
    assert by_id(here.in_topic()) == results


def check_that_it_is_shown(here: Installation, folder: Path, bad: Sequence[Poison], first: Delivered) -> None:
    """Counts by reason; one letter in full, its bytes in a file."""
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


def check_that_it_is_put_back_once(here: Installation, bad: Sequence[Poison]) -> None:
    """All come back; what is refused again is the same letter; a second time there is nothing to put back."""
    first = here.run("dead", "redrive").succeeded()
    assert first.out.splitlines() == [f"{len(bad)} redriven"]
    worked = here.run("work", "--until-end").succeeded()

    with closing(here.transport()) as transport:
        dead = read_letters(transport, here.pipeline)
    states = Counter(dead.state(letter) for letter in dead.newest())
    media = [poison for poison in bad if poison.is_media]
    used = len(media) + 1  # the one that was on a foreign partition has come home
    assert states == {"redriven": used, "dead_again": len(bad) - used}
    assert {event["stream"] for event in worked.events("redriven_items_late")} == {*(p.name for p in media), "stray"}

    assert here.run("dead", "redrive").succeeded().out == "0 redriven\n"
    assert len(plan(dead, Selection(code="missing_header"), again=True).wanted) == 1
