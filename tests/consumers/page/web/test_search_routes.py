"""The search of the page: over a real index, for those who may see the feeds; where it cannot, it says why."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import httpx2
import pytest

from tests.consumers.searching.conftest import SPACE, SeedEmbedder, unit_vector
from triptych.consumers.page.api_types import SearchBody
from triptych.consumers.page.options import MemoryOptions
from triptych.consumers.page.reading import moment_finder
from triptych.consumers.page.reading.moment_finder import MomentFinder, search_note
from triptych.consumers.page.web.access import PageUser, Users, granted_roles, token_hash
from triptych.consumers.page.web.gate import AccessRules
from triptych.consumers.page.web.login import Sessions
from triptych.consumers.searching.index_opening import open_index_writer
from triptych.consumers.searching.indexing import IndexLoop, Retention
from triptych.consumers.searching.window_index import index_writer
from triptych.schemas.errors import UsageError
from triptych.schemas.perception.vectors import Vectors, encode_vector
from triptych.schemas.results import LabelScore, Observations, Words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.consumers.page.conftest import PagePipeline, ServedPage, ServePage
    from tools.devservers import DevPostgres

HOSTILE = (
    "'",
    '"',
    "\\",
    "%",
    "_",
    "*",
    "--",
    "'; DROP TABLE windows; --",
    "\x00",
    "(((",
    "a AND",
    "🎭",
    "\u202e",
    "x" * 500,
)


class Say(Protocol):
    """Publishes a window in which something was said."""

    def __call__(self, number: int, text: str, feed: str = "city", **changes: Any) -> str:  # noqa: ANN401 - fields of a result
        """Return the id of its result."""


@pytest.fixture
def say(pipeline: PagePipeline) -> Say:
    """Publish windows with their pictures."""

    def publish(number: int, text: str, feed: str = "city", **changes: Any) -> str:  # noqa: ANN401 - as above
        start_ns = pipeline.make_result(number, feed).start_ns
        labels = (LabelScore(label=changes.pop("seen"), score=0.9),) if "seen" in changes else ()
        if "like" in changes:
            changes["vectors"] = Vectors(space=SPACE, video=encode_vector(unit_vector(changes.pop("like")).tolist()))
        cue = Words(text=text, start_ns=start_ns, end_ns=start_ns + 10**9)
        return pipeline.window(number, feed, observations=Observations(words=(cue,), visual=labels), **changes).id

    return publish


def write_index(pipeline: PagePipeline, folder: Path, name: str = "triptych") -> None:
    """Index all that was published, as `triptych index` does."""
    with index_writer(folder, name) as writer:
        IndexLoop(writer, Retention()).run(pipeline.transport, threading.Event(), until_end=True)


def found(page: ServedPage, **query: str | int) -> list[tuple[str, int]]:
    """Return the feed and the start of each moment that is found, in milliseconds."""
    body = page.get(f"/api/search?{httpx2.QueryParams(query)}")
    return [(moment["feed"], moment["at_ms"]) for moment in body["moments"]]


def test_moments_are_found_with_a_picture_and_the_reason(
    pipeline: PagePipeline, serve: ServePage, say: Say, tmp_path: Path
) -> None:
    """And lead to the window."""
    say(0, "nothing of interest")
    result = say(5, "they walked to the bank", seen="bridge")
    write_index(pipeline, tmp_path / "index")
    page = serve(finder=MomentFinder(tmp_path / "index", "triptych"))
    page.until_read(2)
    assert page.get("/api/session")["can_search"] is True
    answer = page.client.get("/api/search?text=banks")
    SearchBody.model_validate_json(answer.text)
    [moment] = answer.json()["moments"]
    assert (moment["result"], moment["feed"], moment["windows"], moment["is_kept"]) == (result, "city", 1, True)
    assert moment["why"] == [{"part": "text", "by_words": True, "similarity": None, "text": "they walked to the bank"}]
    assert page.client.get(moment["picture"]["url"]).headers["content-type"] == "image/jpeg"
    assert page.get(f"/api/feeds/~city/windows/{moment['window_id']}")["result"]["id"] == result
    assert [note["text_zh"] for note in answer.json()["notes"]] == ["仅按词语搜索: 索引中没有向量。"]


def test_feeds_times_and_kinds_narrow_the_search(
    pipeline: PagePipeline, serve: ServePage, say: Say, tmp_path: Path
) -> None:
    """Each alone, and all together."""
    for number, feed in ((0, "city"), (100, "city"), (0, "dock")):
        say(number, "a bank", feed, seen="bridge")
    say(200, "a bridge")
    write_index(pipeline, tmp_path / "index")
    page = serve(finder=MomentFinder(tmp_path / "index", "triptych"))
    first, later = (pipeline.make_result(number).start_ns // 10**6 for number in (0, 100))
    assert set(found(page, text="bank")) == {("city", first), ("city", later), ("dock", first)}
    assert found(page, text="bank", feed="dock") == [("dock", first)]
    assert found(page, text="bank", since_ms=first + 10_000) == [("city", later)]
    assert set(found(page, text="bank", until_ms=first + 10_000)) == {("city", first), ("dock", first)}
    assert len(found(page, said="bridge")) == 1
    assert len(found(page, seen="bridge")) == 3
    assert found(page, text="bank", seen="bridge", feed="city", until_ms=later) == [("city", first)]
    assert len(found(page, text="bank", limit=1)) == 1


@pytest.mark.parametrize(
    ("patterns", "visible"),
    [
        (("city-*",), {"city-1", "city-22"}),
        (("city-?",), {"city-1"}),
        (("city_1", "c%", "x'y"), {"city_1"}),
        (("city[-]1",), {"city-1"}),
        (("[!c]*", "back\\slash"), {"dock", "a.b"}),
        (("*.?",), {"a.b"}),
        (("City-1",), set()),
    ],
)
def test_nobody_finds_what_they_may_not_see(
    pipeline: PagePipeline, serve: ServePage, say: Say, tmp_path: Path, patterns: tuple[str, ...], visible: set[str]
) -> None:
    """Neither by words, by conditions alone, nor by naming the feed. What one may see is found behind much else."""
    feeds = ("city-1", "city-22", "city_1", "cityX1", "dock", "a.b")
    for feed in feeds:
        say(0, "a bank", feed)
    write_index(pipeline, tmp_path / "index")
    users = Users([PageUser("anna", granted_roles(["see"]), patterns, token_hash("anna"))])
    rules = AccessRules(users=users, sessions=Sessions(b"k" * 32, users))
    page = serve(rules, finder=MomentFinder(tmp_path / "index", "triptych"))
    page.until_read(len(feeds))
    page.get("/api/search?text=bank", 401)
    assert page.get("/api/session")["can_search"] is False
    page.post("/api/login", {"token": "anna"})
    assert {feed for feed, _ in found(page, text="bank")} == visible
    assert {feed for feed, _ in found(page, said="bank")} == visible
    if "[" not in "".join(patterns):  # these are cut off after they were found
        assert {feed for feed, _ in found(page, text="bank", limit=max(1, len(visible)))} == visible
    for feed in feeds:
        status = 200 if feed in visible else 404
        assert page.client.get("/api/search", params={"text": "bank", "feed": feed}).status_code == status


def test_an_index_on_a_server_is_searched(
    pipeline: PagePipeline, serve: ServePage, say: Say, start_postgres: Callable[[], DevPostgres]
) -> None:
    """As one in a folder is. While the server is away, a search says that there is no index; then it works again."""
    server = start_postgres()
    say(5, "they walked to the bank", seen="bridge")
    say(9, "他们走到银行", "dock")
    with open_index_writer(server.url(), "triptych", password=server.password) as writer:
        IndexLoop(writer, Retention()).run(pipeline.transport, threading.Event(), until_end=True)
    page = serve(finder=MomentFinder(server.url(), "triptych", password=server.password))
    page.until_read(2)
    city, dock = (pipeline.make_result(number).start_ns // 10**6 for number in (5, 9))
    assert found(page, text="banks") == [("city", city)]
    assert found(page, said="银行", feed="dock") == [("dock", dock)]
    for text in HOSTILE:
        for name in ("text", "said", "feed"):
            found(page, **{"text": "bank", name: text})
    server.stop()
    page.get("/api/search?text=banks", 503)
    server.start()
    assert found(page, text="banks") == [("city", city)]


def test_meaning_is_searched_with_the_encoder_of_the_space(
    pipeline: PagePipeline, serve: ServePage, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is loaded once. Where it cannot be, words are searched, and the answer says so."""
    for number in range(6):
        say(10 * number, f"word{number}", like=number)
    write_index(pipeline, tmp_path / "index")
    page = serve(finder=MomentFinder(tmp_path / "index", "triptych"))
    body = page.get("/api/search?text=like+3")
    assert (body["moments"], [note["text_zh"] for note in body["notes"]]) == (
        [],
        ["仅按词语搜索: 页面没有可用的语义编码器。"],
    )
    loaded: list[str] = []

    def load(space: str, picture_space: str) -> SeedEmbedder:
        loaded.append(f"{space} {picture_space}")
        return SeedEmbedder()

    monkeypatch.setattr(moment_finder, "_query_embedder", load)
    page = serve(finder=MomentFinder(tmp_path / "index", "triptych", "folder:x"))
    best = page.get("/api/search?text=like+3")["moments"][0]
    assert best["at_ms"] == pipeline.make_result(30).start_ns // 10**6
    assert best["why"][0]["similarity"] == pytest.approx(1, abs=2e-3)
    page.get("/api/search?text=like+4")
    assert loaded == [f"{SPACE} folder:x"]


def test_an_encoder_without_its_weights_leaves_the_words(
    pipeline: PagePipeline, serve: ServePage, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are looked for once a minute, and used when they have been pulled."""
    say(0, "a bank", like=0)
    write_index(pipeline, tmp_path / "index")
    loads: list[str] = []
    pulled = False
    now_s = 100.0

    def load(space: str, picture_space: str) -> SeedEmbedder:
        loads.append(space)
        if not pulled:
            raise UsageError(f"the weights of {space}{picture_space} are missing")
        return SeedEmbedder()

    monkeypatch.setattr(moment_finder, "_query_embedder", load)
    page = serve(finder=MomentFinder(tmp_path / "index", "triptych", clock_s=lambda: now_s))
    for _ in range(3):
        assert len(found(page, text="bank")) == 1
        now_s += 19
    assert loads == [SPACE]
    pulled = True
    assert found(page, text="like 1") == []
    now_s = 160.0
    for _ in range(2):
        assert len(found(page, text="like 1")) == 1
    now_s = 1_000.0
    assert len(found(page, text="like 1")) == 1
    assert loads == [SPACE, SPACE]


def test_an_index_that_is_written_later_is_found_then(
    pipeline: PagePipeline, serve: ServePage, say: Say, tmp_path: Path
) -> None:
    """The page is often started first. Also one that is deleted, and written again while the page runs."""
    page = serve(finder=MomentFinder(tmp_path / "index", "triptych"))
    error = page.get("/api/search?text=bank", 503)
    assert (error["error"], str(tmp_path) in str(error)) == ("there is no index that can be searched", False)
    say(0, "a bank")
    write_index(pipeline, tmp_path / "index")
    assert len(found(page, text="bank")) == 1
    say(50, "a bank")
    write_index(pipeline, tmp_path / "index")
    assert len(found(page, text="bank")) == 2
    for path in sorted((tmp_path / "index").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    page.get("/api/search?text=bank", 503)
    write_index(pipeline, tmp_path / "index")
    assert len(found(page, text="bank")) == 2


def test_the_index_of_another_pipeline_is_not_searched(
    pipeline: PagePipeline, serve: ServePage, say: Say, tmp_path: Path
) -> None:
    """Its feeds are not those of the users."""
    say(0, "a bank")
    write_index(pipeline, tmp_path / "index")
    page = serve(finder=MomentFinder(tmp_path / "index", "other"))
    page.get("/api/search?text=bank", 503)


def test_what_the_page_has_forgotten_is_found_and_said_to_be(
    pipeline: PagePipeline, serve: ServePage, say: Say, tmp_path: Path
) -> None:
    """It has no picture. A window that is kept with others of its minute has none of its own either."""
    pipeline.publish(*(pipeline.make_result(number) for number in range(7)))
    say(7, "a bank")
    pipeline.publish(*(pipeline.make_result(number) for number in range(8, 300)))
    write_index(pipeline, tmp_path / "index")
    page = serve(
        memory=MemoryOptions(since="beginning", windows=100), finder=MomentFinder(tmp_path / "index", "triptych")
    )
    page.until_read(300)
    [moment] = page.get("/api/search?text=bank")["moments"]
    assert (moment["is_kept"], moment["picture"]) == (True, None)
    assert len(page.get(f"/api/feeds/~city/windows/{moment['window_id']}")["pictures"]) == 2
    page = serve(memory=MemoryOptions(since="now"), finder=MomentFinder(tmp_path / "index", "triptych"))
    [moment] = page.get("/api/search?text=bank")["moments"]
    assert (moment["is_kept"], moment["picture"]) == (False, None)


@pytest.mark.parametrize("text", HOSTILE)
def test_signs_of_query_languages_are_text(
    pipeline: PagePipeline, serve: ServePage, say: Say, tmp_path: Path, text: str
) -> None:
    """In each place where a text is given."""
    say(0, "a bank", "city")
    write_index(pipeline, tmp_path / "index")
    page = serve(finder=MomentFinder(tmp_path / "index", "triptych"))
    for name in ("text", "said", "feed"):
        found(page, **{"text": "bank", name: text})
    assert len(found(page, text="bank")) == 1


def test_a_request_that_is_wrong_says_so(serve: ServePage, tmp_path: Path) -> None:
    """Nothing to look for, too much of it, no time, no number; and a page without an index."""
    page = serve(finder=MomentFinder(tmp_path, "triptych"))
    for query in ("", "?text=+", f"?text={'x' * 501}", "?text=a&since_ms=x", "?text=a&limit=0", "?text=a&limit=101"):
        page.get(f"/api/search{query}", 400)
    page = serve()
    assert "--index" in page.get("/api/search?text=a", 404)["what_to_do"]
    assert page.get("/api/session")["can_search"] is False


def test_a_page_without_the_extra_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says which one is missing."""
    monkeypatch.setattr(moment_finder, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'triptych\[index\]'"):
        MomentFinder(tmp_path, "triptych")


def test_a_note_that_is_not_known_is_shown_as_it_is() -> None:
    """The search may say more than the page knows."""
    assert search_note("something").text_zh == "something"
