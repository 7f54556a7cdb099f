"""Recommendations as users run them, on a real Kafka: interact, train, move, and forget."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from functools import partial

import pytest

from tests.e2e.programs import Installation
from triptych.consumers.recommending.interaction_topic import InteractionLog
from triptych.consumers.recommending.pseudonyms import Pseudonyms
from triptych.consumers.subscription.log_reading import read_since
from triptych.schemas.names import interactions_topic
from triptych.transport.records import TopicPartition

KEY = "0123456789abcdef0123456789abcdef"
DAY_S = 86_400
ITEMS, USERS = 12, 30
TRAIN_LIMIT_S = 300.0
"""Training takes a minute where other programs need the processors, too."""


def write_ratings(here: Installation) -> str:
    """Write ratings of MovieLens: users of two groups, each of which likes the films of one half."""
    folder = here.folder / "ml"
    folder.mkdir()
    rows = [
        f"{user}\t{item}\t{5 if item % 2 == user % 2 else 1}\t{(item * 7 + user) % ITEMS * DAY_S + user}"
        for user in range(USERS)
        for item in range(ITEMS)
        if (item + user) % 4 < 3
    ]
    (folder / "u.data").write_text("\n".join(rows) + "\n")
    genres = ("|".join(["0"] * 6 + ["1"] + ["0"] * 12), "|".join(["0"] * 11 + ["1"] + ["0"] * 7))
    films = [f"{item}|{('A Heist', 'A Ghost')[item % 2]} {item}||||{genres[item % 2]}" for item in range(ITEMS)]
    (folder / "u.item").write_text("\n".join(films) + "\n")
    return str(folder)


@pytest.mark.timeout(900)  # eleven programs, one after the other
def test_interactions_move_recommendations_until_the_user_is_forgotten(
    install: Callable[..., Installation],
) -> None:
    """From an imported data set to the last tombstone; no name and, in the end, no record of the user is left."""
    here = install()
    (here.folder / "key").write_text(KEY)
    own = {"TRIPTYCH_RECOMMEND_SECRET_FILE": str(here.folder / "key"), "XDG_DATA_HOME": str(here.folder / "data")}
    run = partial(here.run, **own)
    told = run("recommender", "import", "movielens", write_ratings(here)).succeeded().out
    assert "270 interactions, and 12 texts of items" in told
    trained = run("recommender", "train", "--factors", "4", limit_s=TRAIN_LIMIT_S).succeeded().out
    assert "270 interactions of 30 users with 12 items" in trained
    assert (here.folder / "data" / "triptych" / "recommend" / f"{here.pipeline}.safetensors").is_file()

    command = ("recommend", "anna", "--of", "clips", "--n", "5", "--diversity", "0", "--json")
    for item in (1, 3):
        run("interact", "anna", f"movielens-{item}", "--clip", "--liked", "--watched", "60").succeeded()
    run("interact", "anna", "movielens-0", "--clip", "--skipped").succeeded()
    found = [json.loads(line) for line in run(*command).succeeded().out.splitlines()]
    assert {one["item"] for one in found} == {f"movielens-{item}" for item in (5, 7, 9, 11)} | {found[-1]["item"]}
    assert found[0]["reason"]["text"].startswith("because you liked A Ghost ")
    assert "Horror" in found[0]["reason"]["shared"]

    run("interact", "bert", "city/0-2000000000/0", "--watched", "2").succeeded()
    pseudonym = Pseudonyms(KEY.encode()).of("anna")
    topic = TopicPartition(interactions_topic(here.pipeline), 0)
    with closing(here.transport()) as transport:
        with InteractionLog(transport, here.pipeline) as log:
            log.refresh()
            assert len(log.of(pseudonym)) == 5
        assert "deleted 5 records" in run("recommender", "forget", "anna").succeeded().out
        with InteractionLog(transport, here.pipeline) as log:
            log.refresh()
            assert (log.of(pseudonym), len(log.users)) == ([], USERS + 1)
        records = list(read_since(transport, {topic: 0}))
    newest = {record.key: record.value for record in records}
    assert not any(value for key, value in newest.items() if key is not None and key.startswith(pseudonym.encode()))
    assert not any(b"anna" in (record.key or b"") + record.value for record in records)

    again = ("--out", str(here.folder / "again.safetensors"))
    run("recommender", "train", "--factors", "4", *again, limit_s=TRAIN_LIMIT_S).succeeded()
    assert pseudonym.encode() not in (here.folder / "again.safetensors").read_bytes()
    assert "because you" not in run("recommend", "anna", "--of", "clips").succeeded().out
    assert run("interact", "anna", "city").exit_code == 2
