"""Recommendations from interactions in memory: they move, new users and items get some, and users are forgotten."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from structlog.testing import capture_logs

from tests.consumers.recommending.conftest import (
    ANNA,
    AXES,
    BERT,
    FILMS,
    PIPELINE,
    SPACE,
    START_NS,
    TopicEmbedder,
    did,
    film,
    tell,
)
from triptych.consumers.recommending.interaction_topic import InteractionLog, forget_user, send_interactions
from triptych.consumers.recommending.recommendable import ListedCatalogue, Recommendable
from triptych.consumers.recommending.recommender import RecommendationQuery, Recommender
from triptych.consumers.recommending.recommender_file import read_recommender, write_recommender
from triptych.consumers.subscription import topic_changes
from triptych.schemas.errors import UsageError
from triptych.schemas.names import interactions_topic
from triptych.schemas.recommending.interactions import Interaction, ItemText, UserProfile
from triptych.training.recommending.fit_factors import FactorConfig
from triptych.training.recommending.fit_ranking_head import RankingHeadConfig
from triptych.training.recommending.fit_recommender import RecommenderConfig
from triptych.training.recommending.train_from_topic import train_from_log
from triptych.transport.errors import TopicMissingError
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.protocols import Transport
from triptych.transport.records import Message

CATALOGUE = ListedCatalogue(FILMS, SPACE)
QUICK = RecommenderConfig(FactorConfig(factors=8, bpr_rounds=30), RankingHeadConfig(steps=100, negatives=20))


def crowd() -> list[Interaction]:
    """Return what forty users did: each likes films of one topic, one after another."""
    rng = np.random.default_rng(1)
    found = []
    for number in range(40):
        topic = AXES[number % 4]
        for place, film_number in enumerate(rng.permutation(6)[:4]):
            found.append(did(f"{number:032x}", "liked", f"{topic}-{film_number}", 10 * place + number % 10))
    return found


def opened(transport: Transport, trained: Path | None = None, **changes: object) -> Recommender:
    """Open a recommender of the films."""
    model = None if trained is None else read_recommender(trained)
    parts: dict = {"catalogue": CATALOGUE, "trained": model, "embedder": TopicEmbedder()} | changes
    return Recommender(InteractionLog(transport, PIPELINE), **parts)


def topics(recommender: Recommender, user: str, most: int = 4) -> list[str]:
    """Return the topics of what is recommended, by score alone."""
    found = recommender.recommend(RecommendationQuery(user, "clip", most, diversity=0.0))
    return [one.item.partition("-")[0] for one in found]


@pytest.fixture
def trained(transport: Transport, tmp_path: Path) -> Path:
    """Return the file of a recommender that was trained on the crowd."""
    tell(transport, *crowd())
    path = tmp_path / "models" / "films.safetensors"
    with InteractionLog(transport, PIPELINE) as log:
        train_from_log(log, CATALOGUE, TopicEmbedder(), path, QUICK)
    return path


def test_an_interaction_moves_the_next_recommendation(transport: Transport, trained: Path) -> None:
    """Without training. What the user knows is not recommended again, and the reason names it."""
    with opened(transport, trained) as recommender:
        before = topics(recommender, ANNA)
        tell(transport, did(ANNA, "liked", "cats-1", 100))
        assert topics(recommender, ANNA) == ["cats"] * 4
        tell(transport, *(did(ANNA, "skipped", f"cats-{number}", 200 + number) for number in (0, 1, 2, 3)))
        tell(transport, did(ANNA, "liked", "harbours-2", 300))
        assert topics(recommender, ANNA)[:3] == ["harbours"] * 3
        (best,) = recommender.recommend(RecommendationQuery(ANNA, "clip", 1))
    assert before != ["cats"] * 4
    assert best.item != "harbours-2"
    assert str(best.reason) == "because you liked harbours 2: harbours, people, English"


def test_a_new_user_gets_what_the_profile_names(transport: Transport, trained: Path) -> None:
    """And without a profile, what is popular."""
    with opened(transport, trained) as recommender:
        assert len(topics(recommender, ANNA)) == 4
        send_interactions(transport, PIPELINE, [UserProfile(user=ANNA, text="old music", time_ns=START_NS)])
        assert topics(recommender, ANNA)[:3] == ["music"] * 3
        (best,) = recommender.recommend(RecommendationQuery(ANNA, "clip", 1))
    assert best.reason.kind == "profile"


def test_a_new_item_is_recommended_by_its_content(transport: Transport, trained: Path) -> None:
    """The model does not know it."""
    catalogue = ListedCatalogue([*FILMS, film("music", 1_000), film("cats", 7)], SPACE)
    tell(transport, did(ANNA, "liked", "cats-1", 100))
    with opened(transport, trained, catalogue=catalogue) as recommender:
        found = recommender.recommend(RecommendationQuery(ANNA, "clip", 6, diversity=0.0))
    assert "cats-7" in [one.item for one in found]


def test_without_a_model_the_shipped_weights_serve(transport: Transport) -> None:
    """By content. Without a catalogue there is nothing to recommend, which is no error."""
    tell(transport, did(ANNA, "watched", "trains-0", seconds=60))
    with opened(transport) as recommender:
        assert topics(recommender, ANNA)[:3] == ["trains"] * 3
    with opened(transport, catalogue=None) as recommender:
        assert recommender.recommend(RecommendationQuery(ANNA)) == []


def test_a_model_of_items_without_vectors_serves_items_and_profiles_with_them(
    transport: Transport, tmp_path: Path
) -> None:
    """It was trained before the index had a space. The content counts from then on, in whatever space that is."""

    class AnotherEmbedder(TopicEmbedder):
        name = "other-1"

    tell(transport, *crowd())
    path = tmp_path / "bare.safetensors"
    bare = ListedCatalogue([Recommendable(one.item, one.title, one.labels, time_ns=one.time_ns) for one in FILMS])
    with InteractionLog(transport, PIPELINE) as log:
        train_from_log(log, bare, AnotherEmbedder(), path, QUICK)
    assert read_recommender(path).known.vectors.shape == (24, 0)
    with opened(transport, path, catalogue=bare) as recommender:
        assert len(topics(recommender, ANNA)) == 4
        send_interactions(transport, PIPELINE, [UserProfile(user=ANNA, text="old music", time_ns=START_NS)])
        assert len(topics(recommender, ANNA)) == 4
    for catalogue in (CATALOGUE, ListedCatalogue([*FILMS, film("music", 1_000)], SPACE)):
        with opened(transport, path, catalogue=catalogue) as recommender:
            (best,) = recommender.recommend(RecommendationQuery(ANNA, "clip", 1))
            tell(transport, did(ANNA, "liked", "trains-1", 100))
            assert len(topics(recommender, ANNA)) == 4
    assert best.reason.kind in {"profile", "liked"}
    with opened(transport, path, embedder=None) as recommender:
        assert len(topics(recommender, BERT)) == 4


def test_items_with_texts_need_no_index(transport: Transport) -> None:
    """Their titles are embedded, each once."""

    class CountingEmbedder(TopicEmbedder):
        embedded = 0

        def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
            """Count the texts."""
            self.embedded += len(texts)
            return super().embed_texts(texts)

    embedder = CountingEmbedder()
    texts = [ItemText(kind="clip", item=f"{axis}-x", title=f"all about {axis}", time_ns=1) for axis in AXES]
    send_interactions(transport, PIPELINE, [*texts, did(ANNA, "liked", "cats-x"), did(ANNA, "watched", "music-x")])
    with opened(transport, catalogue=None, embedder=embedder) as recommender:
        first = recommender.recommend(RecommendationQuery(ANNA, "clip"))
        assert recommender.recommend(RecommendationQuery(ANNA, "clip")) == first
    assert {one.title for one in first} == {"all about trains", "all about harbours"}
    assert embedder.embedded == len(texts)


def test_a_feed_is_recommended_again_unless_it_was_skipped(transport: Transport) -> None:
    """A clip is not."""
    feeds = [type(one)(one.item.replace("clip/", "feed/"), one.title, vector=one.vector) for one in FILMS[:3]]
    fields = {"user": ANNA, "kind": "feed", "time_ns": START_NS}
    tell(transport, Interaction(**fields, item="trains-0", action="watched"))
    tell(transport, Interaction(**fields, item="trains-1", action="skipped"))
    with opened(transport, catalogue=ListedCatalogue(feeds, SPACE)) as recommender:
        found = recommender.recommend(RecommendationQuery(ANNA, "feed"))
    assert {one.item for one in found} == {"trains-0", "trains-2"}


def test_a_forgotten_user_is_in_no_reader_and_no_model(transport: Transport, trained: Path, tmp_path: Path) -> None:
    """Tombstones delete all records of the user, and no other's. A model keeps no vector of anyone."""
    tell(transport, did(ANNA, "liked", "only-anna", 100), did(ANNA, "watched", "cats-1"), did(BERT, "liked", "cats-2"))
    send_interactions(transport, PIPELINE, [UserProfile(user=ANNA, text="cats", time_ns=START_NS)])
    assert forget_user(transport, PIPELINE, ANNA) == 3
    assert forget_user(transport, PIPELINE, ANNA) == 0
    again = tmp_path / "again.safetensors"
    with InteractionLog(transport, PIPELINE) as log:
        log.refresh()
        assert (log.of(ANNA), ANNA in log.users, log.profiles) == ([], False, {})
        assert len(log.of(BERT)) == 1
        train_from_log(log, CATALOGUE, None, again, QUICK)
    for path in (trained, again):
        content = path.read_bytes()
        assert not any(user.encode() in content for user in (ANNA, BERT, f"{1:032x}"))
    assert b"only-anna" not in again.read_bytes()
    assert b"cats-2" in again.read_bytes()


def test_training_again_gives_the_same_file(transport: Transport, trained: Path, tmp_path: Path) -> None:
    """The version names its content. A damaged file is rejected."""
    other = tmp_path / "other.safetensors"
    with InteractionLog(transport, PIPELINE) as log:
        report = train_from_log(log, CATALOGUE, TopicEmbedder(), other, QUICK)
    assert report.version == read_recommender(trained).document.version
    assert (report.users, report.items, report.events) == (40, 24, 160)
    content = bytearray(other.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    for path in (other, tmp_path / "missing"):
        with pytest.raises(UsageError, match="expected"):
            read_recommender(path)
    save_file({"document": np.frombuffer(b'{"version": 3}', np.uint8)}, tmp_path / "wrong")
    with pytest.raises(UsageError, match=r"got a document in which [a-z_]+ is wrong: [A-Z]") as refused:
        read_recommender(tmp_path / "wrong")
    assert "https" not in str(refused.value)
    (tmp_path / "no_folder").write_text("")
    whole = read_recommender(trained)
    with pytest.raises(UsageError, match="no_folder/model cannot be written: File exists"):
        write_recommender(tmp_path / "no_folder" / "model", whole)


def test_spaces_must_agree(transport: Transport, trained: Path) -> None:
    """Vectors of different spaces say nothing about one another."""
    with pytest.raises(UsageError, match="one space"):
        opened(transport, trained, catalogue=ListedCatalogue(FILMS, "other-1"))


@pytest.mark.parametrize("is_longer", [False, True])
def test_nothing_is_kept_of_a_topic_that_was_created_again(
    transport: Transport, trained: Path, monkeypatch: pytest.MonkeyPatch, *, is_longer: bool
) -> None:
    """Whether the new topic is shorter than what was read of the old one, or longer."""
    monkeypatch.setattr(topic_changes, "INTERVAL_S", 0.02)
    del trained
    assert isinstance(transport, MemoryTransport)
    with InteractionLog(transport, PIPELINE) as log:
        count = log.refresh()
        users = log.users
        assert users
        transport.recreate(interactions_topic(PIPELINE))
        new = [
            Interaction(user=f"{9:032x}", kind="clip", item=f"new-{n}", action="liked", time_ns=n) for n in range(count)
        ]
        send_interactions(transport, PIPELINE, new * 2 if is_longer else new[:1])
        deadline_s = time.monotonic() + 60
        while log.users != [f"{9:032x}"]:
            assert time.monotonic() < deadline_s
            log.refresh()
        assert not log.profiles


def test_a_record_that_is_none_is_counted_and_told(transport: Transport) -> None:
    """The others are read."""
    publisher = transport.publisher()
    publisher.send(Message(interactions_topic(PIPELINE), b"x", b"{}")).result(5)
    publisher.close(5)
    tell(transport, did(ANNA, "liked", "cats-1"))
    with capture_logs() as logs, InteractionLog(transport, PIPELINE) as log:
        assert log.refresh() == 2
        assert (log.malformed, len(log.of(ANNA))) == (1, 1)
    assert logs[0]["event"] == "interaction_unreadable"


def test_a_pipeline_without_the_topic_says_how_to_get_it() -> None:
    """It may be older than recommendations."""
    with pytest.raises(TopicMissingError, match="topics create --pipeline city"):
        InteractionLog(MemoryTransport(), "city")


@pytest.mark.parametrize(("field", "value"), [("most", 0), ("diversity", 1.5)])
def test_a_query_out_of_range_is_rejected(field: str, value: float) -> None:
    """With what was expected."""
    with pytest.raises(UsageError, match="expected"):
        RecommendationQuery(ANNA, **{field: value})
