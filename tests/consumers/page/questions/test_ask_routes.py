"""Questions to the page over HTTP: answers with their moments, and what is said where there is none."""

from __future__ import annotations

import json
import shutil
import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.consumers.page.conftest import POST_HEADERS, until
from tests.consumers.page.questions_world import SEEN, SlowLookups, publish_seen, rules, window, write_index
from tests.scripted_endpoint import ScriptedEndpoint, scripted_endpoint
from triptych.consumers.asking.options import LanguageModelOptions
from triptych.consumers.describing.chat.endpoint import HttpChatEndpoint, read_reply
from triptych.consumers.page.api_types import AskBody
from triptych.consumers.page.program import question_desk
from triptych.consumers.page.questions import question_desk as desk_module
from triptych.consumers.page.questions.question_desk import QuestionDesk
from triptych.consumers.page.reading.moment_finder import MomentFinder
from triptych.schemas.errors import UsageError
from triptych.settings.loading import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.consumers.page.conftest import PagePipeline, ServedPage, ServePage

KEY = "sk-never-in-a-browser"


@pytest.fixture
def folder(pipeline: PagePipeline, tmp_path: Path) -> Path:
    """The index of a feed."""
    publish_seen(pipeline)
    return write_index(pipeline, tmp_path / "index")


def ask(page: ServedPage, question: str, status: int = 200, **more: Any) -> Any:  # noqa: ANN401 - JSON
    """Return what the page answers."""
    return page.post("/api/ask", {"question": question, **more}, status)


def test_an_answer_has_its_moments_which_lead_to_windows(
    pipeline: PagePipeline, serve: ServePage, folder: Path
) -> None:
    """With the words, the time, and a picture; and the role `see` is enough."""
    page = serve(rules(anna=("*",)), desk=QuestionDesk(folder, "triptych"))
    page.until_read(8)
    page.post("/api/login", {"token": "anna"})
    body = ask(page, "Who mentioned the bank?")
    AskBody.model_validate(body)
    assert (body["outcome"], body["language"], body["worded"]) == ("answered", "en", "")
    assert body["text"].startswith("ANNA, BEN: city-1 20")
    assert body["brief"] == f"ANNA, BEN: 2 moments on {SEEN}."
    first, second = body["moments"]
    assert (first["number"], first["feed"], first["text"]) == (1, SEEN, "ANNA: Where is the bank?")
    assert (first["kind"], first["is_kept"], second["number"]) == ("said", True, 2)
    assert first["start_ms"] == first["at_ms"] == pipeline.make_result(11).start_ns // 10**6
    assert page.client.get(first["picture"]["url"]).headers["content-type"] == "image/jpeg"
    shown = page.get(f"/api/feeds/~{first['feed']}/windows/{first['window_id']}")
    assert shown["result"]["id"] == first["result"]
    again = ask(page, "Who said it?", conversation=body["conversation"])
    assert again["is_continued"]
    assert again["text"].startswith("ANNA")
    assert ask(page, "狗出现了几次?")["language"] == "zh"
    assert ask(page, "How many dogs were seen?")["moments"][0]["count"] == 2
    both = ask(page, "When did someone mention the bank, and what was on screen?")
    assert [(one["kind"], one["text"]) for one in both["moments"][:2]] == [
        ("said", "ANNA: Where is the bank?"), ("seen", "dog"),
    ]  # fmt: skip
    for question in ("When was music heard?", "What was heard?"):
        assert {(one["kind"], one["text"]) for one in ask(page, question)["moments"]} == {("heard", "music")}
    assert [one["at_ms"] for one in both["moments"]] == sorted(one["at_ms"] for one in both["moments"])
    elsewhere = ask(page, "When was a dog seen?", feed="elsewhere")
    assert (elsewhere["outcome"], elsewhere["brief"]) == ("not_found", elsewhere["text"])


def test_what_is_no_question_is_refused(serve: ServePage, folder: Path) -> None:
    """An answer says what cannot be parsed; a request that is wrong in itself is no question at all."""
    page = serve(desk=QuestionDesk(folder, "triptych"))
    body = ask(page, "Explain the meaning of it all.")
    assert (body["outcome"], body["moments"]) == ("not_understood", [])
    assert "I can answer" in body["text"]
    assert ask(page, "When was a giraffe seen?")["outcome"] == "not_found"
    for question in ("", "  ", "x" * 501):
        ask(page, question, 400)
    ask(page, "When?", 400, conversation="x" * 65)
    ask(page, "When?", 400, roles=["operate"])
    assert page.client.post("/api/ask", json={"question": "When?"}).status_code == 403
    assert page.client.get("/api/ask").status_code == 404
    other_site = {**POST_HEADERS, "Sec-Fetch-Site": "cross-site"}
    assert page.client.post("/api/ask", json={"question": "When?"}, headers=other_site).status_code == 403


def test_text_of_a_feed_and_of_a_question_is_returned_as_it_is(
    pipeline: PagePipeline, serve: ServePage, tmp_path: Path
) -> None:
    """It is text to the page, and no part of a query."""
    said = "<b>the bank</b> \"} UNION { ?a ?b ?c } ' OR 1=1 --"
    window(pipeline, 1, said=said)
    page = serve(desk=QuestionDesk(write_index(pipeline, tmp_path / "index"), "triptych"))
    assert ask(page, "When did someone mention the bank?")["moments"][0]["text"] == said
    for hostile in ("'", '" }', "\\", "<script>", "a' OR '1'='1", "\x00", "}} UNION {{"):
        body = ask(page, f"When was a {hostile} seen?")
        assert body["outcome"] in {"not_found", "not_understood"}
        assert body["moments"] == []


def test_a_page_without_an_index_says_so(serve: ServePage) -> None:
    """And without a desk there is nothing to ask."""
    page = serve()
    assert "--index" in ask(page, "When was a dog seen?", 404)["what_to_do"]
    assert page.client.get("/api/session").json()["can_ask"] is False


def test_an_index_that_is_about_to_be_written_is_waited_for(
    pipeline: PagePipeline, serve: ServePage, tmp_path: Path
) -> None:
    """By whoever asks and searches: nobody has to install or to start anything."""
    is_loading, folder = True, tmp_path / "index"
    desk = QuestionDesk(folder, "triptych", is_loading=lambda: is_loading)
    finder = MomentFinder(folder, "triptych", is_loading=lambda: is_loading)
    page = serve(desk=desk, finder=finder)
    assert page.client.get("/api/session").json()["can_ask"] is True
    searched = page.client.get("/api/search?text=bank")
    for problem in (ask(page, "When was a dog seen?", 503), searched.json()):
        assert (problem["error"], "install" in problem["what_to_do"]) == ("the index is still being prepared", False)
    assert (searched.status_code, searched.headers["Retry-After"]) == (503, "5")
    publish_seen(pipeline)
    write_index(pipeline, folder)
    is_loading = False
    assert ask(page, "When was a dog seen?")["outcome"] == "answered"
    shutil.rmtree(folder)
    assert "no index" in ask(page, "When was a dog seen?", 503)["error"]


def test_what_is_missing_is_named(
    pipeline: PagePipeline, serve: ServePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index, its graph, the extra: each can come while the page runs. No folder is named."""
    folder, question = tmp_path / "index", "When was a dog seen?"
    page = serve(desk=QuestionDesk(folder, "triptych"))
    missing = ask(page, question, 503)
    assert (missing["error"], str(tmp_path) in str(missing)) == ("there is no index that can be asked", False)
    publish_seen(pipeline)
    write_index(pipeline, folder)
    assert ask(page, question)["outcome"] == "answered"

    shutil.rmtree(folder / "graph")
    page = serve(desk=QuestionDesk(folder, "triptych"))
    assert ask(page, question, 503)["error"] == "the index has no graph"
    other = serve(desk=QuestionDesk(folder, "another"))
    assert ask(other, question, 503)["error"] in {"there is no index that can be asked", "the index has no graph"}

    monkeypatch.setattr(desk_module, "find_spec", lambda name: None if name == "pyoxigraph" else name)
    problem = ask(page, question, 503)
    assert (problem["error"], "triptych[ask]" in problem["what_to_do"]) == ("questions need the extra ask", True)


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Start a call in a thread. Return that, and the list for what the call returns."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    return thread, found


def test_each_user_asks_one_question_at_a_time(serve: ServePage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others, and all that is no question, are answered meanwhile."""
    page = serve(rules(anna=("*",), ben=("*",)), desk=QuestionDesk(folder, "triptych"))
    slow = SlowLookups(monkeypatch)
    page.post("/api/login", {"token": "anna"})
    thread, found = in_thread(lambda: ask(page, "When was the bank mentioned?"))
    assert slow.begun.acquire(timeout=60)
    with httpx2.Client(base_url=page.server.url, timeout=60, cookies=dict(page.client.cookies)) as client:
        second = client.post("/api/ask", json={"question": "When was a dog seen?"}, headers=POST_HEADERS)
        assert (second.status_code, second.headers["retry-after"]) == (409, "1")
        assert client.get("/api/wall").status_code == 200
        client.post("/api/login", json={"token": "ben"}, headers=POST_HEADERS)
        others = client.post("/api/ask", json={"question": "When was a dog seen?"}, headers=POST_HEADERS)
        assert others.json()["outcome"] == "answered"
    slow.go_on.set()
    thread.join(60)
    assert found[0]["outcome"] == "answered"
    assert ask(page, "When was a dog seen?")["outcome"] == "answered"


def test_a_question_ends_when_its_time_is_over(serve: ServePage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far it has come. The user can ask again."""
    page = serve(desk=QuestionDesk(folder, "triptych", limit_s=0.2))
    SlowLookups(monkeypatch)
    answer = ask(page, "When was the bank mentioned?", 504)
    assert "name a feed or a time" in answer["what_to_do"]
    question = {"question": "When was the bank mentioned?"}
    until(lambda: page.client.post("/api/ask", json=question, headers=POST_HEADERS).status_code == 504)


def test_the_thread_of_a_question_ends_when_its_time_is_over(
    serve: ServePage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the middle of a lookup."""
    slow = SlowLookups(monkeypatch)
    clock_s = lambda: 1_000.0 if slow.has_begun.is_set() else 0.0  # noqa: E731 - as short as it is
    page = serve(desk=QuestionDesk(folder, "triptych", limit_s=100, clock_s=clock_s))
    ask(page, "When was the bank mentioned?", 504)
    assert slow.ended == [True]


def test_a_question_ends_when_the_client_goes_away(
    serve: ServePage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when `Cancel` is pressed: the next question is answered at once."""
    page = serve(desk=QuestionDesk(folder, "triptych"))
    slow = SlowLookups(monkeypatch)
    impatient = HTTPConnection(urlsplit(page.server.url).netloc)
    question = json.dumps({"question": "When was the bank mentioned?"})
    impatient.request("POST", "/api/ask", question, POST_HEADERS | {"Content-Type": "application/json"})
    assert slow.begun.acquire(timeout=60)
    impatient.close()
    until(lambda: slow.ended == [True])
    until(lambda: page.client.post("/api/ask", json={"question": "?"}, headers=POST_HEADERS).status_code == 200)


@pytest.fixture
def worded(serve: ServePage, folder: Path, tmp_path: Path) -> Callable[[ScriptedEndpoint], ServedPage]:
    """Serve a page whose answers a language model words, with a key."""

    def start(endpoint: ScriptedEndpoint) -> ServedPage:
        key_file = tmp_path / "key"
        key_file.write_text(KEY)
        settings = load(None, {"describe.key_file": key_file, "pipeline": "triptych"})
        desk = question_desk(str(folder), settings, LanguageModelOptions(endpoint.url, "m", key_file, 5.0))
        return serve(desk=desk)

    return start


def test_a_language_model_words_the_answer_and_its_key_stays_here(
    worded: Callable[[ScriptedEndpoint], ServedPage],
) -> None:
    """Numbers in brackets are those of the moments. What nothing supports is dropped, and that is said."""
    with scripted_endpoint() as endpoint:
        endpoint.answer = lambda _: "Anna mentioned the bank [1].\nThe moon is made of cheese [1]."
        page = worded(endpoint)
        answer = page.client.post("/api/ask", json={"question": "Who mentioned the bank?"}, headers=POST_HEADERS)
        body = answer.json()
        assert body["worded"] == "Anna mentioned the bank [1]."
        assert body["text"].startswith("ANNA, BEN")
        assert [moment["number"] for moment in body["moments"]] == [1]
        assert "1 sentence of" in body["notes"][0]
        assert KEY not in answer.text + str(answer.headers) + page.client.get("/api/session").text


def test_a_language_model_that_fails_leaves_the_rules(
    worded: Callable[[ScriptedEndpoint], ServedPage],
) -> None:
    """What it says about its key is only for the log."""
    with scripted_endpoint() as endpoint:
        endpoint.key = "another"  # its answer is `Incorrect API key provided`, and others quote a part of it
        page = worded(endpoint)
        body = ask(page, "Who mentioned the bank?")
    assert (body["has_model_failed"], body["worded"], body["notes"]) == (True, "", [])
    assert body["text"].startswith("ANNA, BEN")
    assert "key" not in str(body)


@pytest.mark.parametrize(
    ("reply", "worded_text"),
    [
        ("[" * 200_000, ""),
        (json.dumps({"choices": [{"message": {"content": "Anna mentioned the bank\ud800 [1]."}}]}), "the bank? [1]"),
    ],
)
def test_what_no_endpoint_should_send_leaves_the_page_as_it_is(
    worded: Callable[[ScriptedEndpoint], ServedPage], monkeypatch: pytest.MonkeyPatch, reply: str, worded_text: str
) -> None:
    """Brackets within brackets, and half a character, which cannot be sent on."""
    monkeypatch.setattr(HttpChatEndpoint, "complete", lambda *_: read_reply(200, reply.encode()))
    with scripted_endpoint() as endpoint:
        body = ask(worded(endpoint), "Who mentioned the bank?")
    assert (body["outcome"], body["has_model_failed"]) == ("answered", not worded_text)
    assert worded_text in body["worded"]


@pytest.mark.parametrize("when", ["in the last 99999999999 hours", "on 9999-12-31", "on 0001-01-01"])
def test_a_time_out_of_all_bounds_is_looked_up(serve: ServePage, folder: Path, when: str) -> None:
    """The page does not say that the index is missing."""
    body = ask(serve(desk=QuestionDesk(folder, "triptych")), f"When was a dog seen {when}?")
    assert body["outcome"] == ("answered" if "last" in when else "not_found")


def test_the_options_of_the_language_model_belong_together(folder: Path) -> None:
    """As those of `triptych ask`."""
    with pytest.raises(UsageError, match="--endpoint and --model"):
        question_desk(str(folder), load(None, {}), LanguageModelOptions("http://127.0.0.1:1/v1"))


def test_an_index_on_a_server_is_not_asked() -> None:
    """It has no graph. A language model would have nothing to word."""
    url = "postgresql://ann@127.0.0.1/triptych"
    assert question_desk(url, load(None, {}), LanguageModelOptions()) is None
    with pytest.raises(UsageError, match="need an index in a folder"):
        question_desk(url, load(None, {}), LanguageModelOptions("http://127.0.0.1:1/v1", "m"))
