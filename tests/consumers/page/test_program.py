"""The page over a pipeline in memory, asked over HTTP: what it shows, and what it does."""

from __future__ import annotations

import gc
import io
import socket
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx2
import pytest
from PIL import Image

from tests.consumers.page.conftest import LIMIT_S, EventReader, until
from triptych.consumers.page.api_types import WallBody
from triptych.consumers.page.options import ListenOptions, MemoryOptions, ReviewOptions
from triptych.consumers.page.state.seen_window import SeenWindow
from triptych.consumers.page.web import feed_routes
from triptych.consumers.prompts.prompt_topic import read_feedback
from triptych.schemas.errors import UsageError
from triptych.schemas.names import TOPIC_OF
from triptych.schemas.partition import partition_of
from triptych.schemas.perception.objects import Detection
from triptych.schemas.results import Shares, TimeSlice
from triptych.transport.records import TopicPartition

if TYPE_CHECKING:
    from tests.consumers.page.conftest import PagePipeline, ServePage

BAD_FEEDS = ("..", "a/b", "a%2Fb", "<b>x</b>", "%00", "%c3%a4" * 50, "x" * 200, "~", "%2e%2e", "a b")


def test_the_wall_shows_each_feed(pipeline: PagePipeline, serve: ServePage) -> None:
    """And the session says who looks, and at what."""
    pipeline.window(0, "city")
    pipeline.window(0, "..")  # a name that is valid, and that URLs take for a folder
    page = serve()
    page.until_read(2)
    wall = page.get("/api/wall")
    WallBody.model_validate_json(page.client.get("/api/wall").text)
    assert {tile["feed"] for tile in wall["feeds"]} == {"city", ".."}
    for tile in wall["feeds"]:
        assert page.client.get(tile["picture"]["url"]).headers["content-type"] == "image/jpeg"
    assert page.get("/api/feeds/~../timeline")["feed"] == ".."
    session = page.get("/api/session")
    assert (session["user"], session["roles"], session["needs_login"]) == ("local", ["see", "review", "operate"], False)


def test_a_picture_is_reduced_and_only_of_its_feed(pipeline: PagePipeline, serve: ServePage) -> None:
    """Whatever offset is asked for."""
    at_ns = pipeline.make_result(0).start_ns
    seen = Detection(time_ns=at_ns + 10**9, label="cat", score=0.9, box=(0, 0, 32, 36))
    pipeline.window(0, "city", detections=(seen,))
    neighbour = next(n for n in map(str, range(99)) if partition_of(n.encode(), 3) == partition_of(b"city", 3))
    pipeline.window(0, neighbour)
    page = serve()
    page.until_read(2)
    tiles = {tile["feed"]: tile for tile in page.get("/api/wall")["feeds"]}
    url = tiles["city"]["picture"]["url"]
    answer = page.client.get(url)
    assert Image.open(io.BytesIO(answer.content)).getpixel((0, 0)) == 80  # the one with the detection
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-picture-at-ms"] == str((at_ns + 10**9) // 10**6)
    small = Image.open(io.BytesIO(page.client.get(f"{url}&width=20").content))
    assert small.width == 64  # 160 is the smallest width, and the picture is smaller
    tile = {tile["feed"]: tile for tile in page.get("/api/wall")["feeds"]}["city"]
    assert (tile["picture"]["width"], tile["boxes"][0]["box"]) == (64, [0, 0, 0.5, 1])
    path = url.partition("?")[0]
    error = page.get(path.replace("city", neighbour), 404)
    assert "no such picture of this feed" in error["error"]
    page.get(f"{path}?first=x&at_ns=1", 400)
    page.get("/api/feeds/city/pictures/77/0", 404)
    page.get("/api/feeds/city/pictures/0/-1", 404)


def test_a_window_shows_what_it_rests_on(pipeline: PagePipeline, serve: ServePage) -> None:
    """The result as published, its records, its sound, and why the model said so."""
    start_ns = pipeline.make_result(0).start_ns
    when = (TimeSlice(start_ns=start_ns, end_ns=start_ns + 10**9, contribution=0.25),)
    result = pipeline.window(0, shares=Shares(video=0.7, audio=0.3), when=when)
    page = serve()
    page.until_read(1)
    [window] = page.get("/api/feeds/city/timeline")["windows"]
    body = page.get(f"/api/feeds/city/windows/{window['window_id']}")
    assert body["result"] == result.model_dump(mode="json")
    assert [row["modality"] for row in body["records"]] == ["video", "video", "audio", "text"]
    assert body["records"][3]["text"] == "the city was asleep"
    assert len(body["pictures"]) == 2
    assert body["attribution"]["shares"] == {"video": 0.7, "audio": 0.3, "text": None}
    assert body["attribution"]["slices"][0]["weight"] == 0.25
    assert body["revisions"] == [
        {"revision": 0, "published_ms": result.published_ns // 10**6, "closed_by": "progress", "added": 0}
    ]
    assert (body["waveform"][0], body["waveform"][150], body["waveform"][-1]) == (0, 1, 0)
    sound = page.client.get(body["sound_url"])
    assert sound.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(sound.content)) as file:
        assert file.getnframes() == 16_000
    pipeline.transport.admin().delete_records({TopicPartition(TOPIC_OF["video"], p): 10**6 for p in range(3)})
    gone = page.get(f"/api/feeds/city/windows/{window['window_id']}")
    assert "retention deleted" in gone["missing"][0]


def test_a_window_that_was_merged_is_still_found(pipeline: PagePipeline, serve: ServePage) -> None:
    """Its result is read again from the topic."""
    pipeline.publish(*(pipeline.make_result(number) for number in range(300)))
    page = serve(memory=MemoryOptions(since="beginning", windows=100))
    page.until_read(300)
    assert page.server.state.windows < 120
    old = pipeline.make_result(17)
    body = page.get(f"/api/feeds/city/windows/{old.start_ns}-{old.end_ns}")
    assert body["result"]["id"] == old.id
    timeline = page.get("/api/feeds/city/timeline?from_ms=0&to_ms=9007199254740991&points=10")
    assert len(timeline["windows"]) <= 10
    assert sum(window["windows"] for window in timeline["windows"]) == 300


def test_a_long_time_line_does_not_hold_up_the_others(
    pipeline: PagePipeline, serve: ServePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its windows are merged in a thread, while the event loop answers."""
    pipeline.publish(*(pipeline.make_result(number) for number in range(20)))
    page = serve()
    page.until_read(20)
    may_go_on = threading.Event()

    def slow(*_: object) -> list[SeenWindow]:
        assert may_go_on.wait(LIMIT_S)
        return []

    monkeypatch.setattr(feed_routes, "downsampled", slow)
    with ThreadPoolExecutor(1) as threads:
        drawing = threads.submit(page.get, "/api/feeds/city/timeline")
        for _ in range(3):
            assert len(page.get("/api/wall")["feeds"]) == 1
        assert not drawing.done()
        may_go_on.set()
        assert drawing.result()["windows"] == []


def test_no_client_waits_for_a_server_that_has_stopped(pipeline: PagePipeline, serve: ServePage) -> None:
    """A client that does not take its answers in time is disconnected: it would wait for a server that is gone."""
    pipeline.window(0)
    page = serve()
    page.until_read(1)
    [window] = page.get("/api/feeds/city/timeline")["windows"]
    sound_url = page.get(f"/api/feeds/city/windows/{window['window_id']}")["sound_url"]
    host, port = page.client.base_url.host, page.client.base_url.port
    with socket.socket() as slow_client:
        slow_client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow_client.settimeout(1)
        slow_client.connect((host, port))
        with suppress(TimeoutError):  # nothing more can be sent: the server waits until its answers are taken
            while slow_client.send(f"GET {sound_url} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode() * 100):
                pass
        page.server.__exit__(None, None, None)
        slow_client.settimeout(LIMIT_S / 2)
        with suppress(ConnectionResetError):
            while slow_client.recv(1 << 20):
                pass
    del page
    gc.collect()  # asyncio warns of a connection that was left open


def test_a_match_is_reviewed_and_everybody_is_told(pipeline: PagePipeline, serve: ServePage) -> None:
    """The answer is what `triptych feedback` would have sent."""
    results = [pipeline.window(number, fire=score) for number, score in enumerate((0.9, 0.95, 0.1))]
    page = serve(review=ReviewOptions(alert=("speech > .5",)))
    page.until_read(3)
    events = page.get("/api/review?state=open")["events"]
    match, alert = events if events[0]["kind"] == "match" else reversed(events)
    assert (match["prompt"], match["windows"], match["score"], match["is_over"]) == ("fire", 2, 0.95, True)
    assert page.client.get(match["picture"]["url"]).status_code == 200
    assert (alert["rule"], alert["can_answer"], alert["windows"]) == ("speech > .5", False, 3)
    reader = EventReader(page.server.url, page.get("/api/wall")["cursor"])
    answered = page.post(f"/api/review/{match['id']}", {"answer": "no"})
    assert answered["answer"] == "no"
    until(lambda: [event["answer"] for event in reader.of_kind("review")] == ["no"])
    reader.close()
    [given] = read_feedback(pipeline.transport, pipeline.name)
    assert (given.result_id, given.prompt, given.answer) == (results[1].id, "fire", "no")
    assert [event["kind"] for event in page.get("/api/review?state=open")["events"]] == ["alert"]
    assert page.get("/api/review?state=done&prompt=fire")["events"][0]["id"] == match["id"]
    page.post(f"/api/review/{alert['id']}", {"answer": "yes"}, 409)
    page.post(f"/api/review/{match['id']}", {"answer": "perhaps"}, 400)
    page.post("/api/review/nothing", {"answer": "yes"}, 404)


def test_the_review_comes_in_pages(pipeline: PagePipeline, serve: ServePage) -> None:
    """The newest first, none twice."""
    pipeline.publish(
        *(pipeline.window(2 * number, fire=0.9) for number in range(5)),
    )
    page = serve()
    page.until_read(5)
    shown: list[str] = []
    before = ""
    for _ in range(3):
        body = page.get(f"/api/review?limit=2{before}")
        shown += [event["id"] for event in body["events"]]
        before = f"&before={body['next_before']}"
    assert len(set(shown)) == 5
    assert body["next_before"] is None
    page.get("/api/review?before=nothing", 404)


def test_dead_letters_are_shown_and_redriven(pipeline: PagePipeline, serve: ServePage) -> None:
    """Each at most once, and their bytes are shown as text or numbers, never as what they say they are."""
    first = pipeline.dead_letter(value=b"<script>alert(1)</script>")
    pipeline.dead_letter(feed=None, value=b"\xff\x00")
    page = serve()
    letters = page.get("/api/dead")["letters"]
    assert {(letter["feed"], letter["can_redrive"]) for letter in letters} == {("city", True), ("", False)}
    one = page.get(f"/api/dead/{first.partition}/{first.offset}")
    assert (one["text"], one["letter"]["reason"]) == ("<script>alert(1)</script>", "broken_media")
    assert {"name": "note", "value": "b'<b>\\xff'"} in one["headers"]
    assert page.client.get(f"/api/dead/{first.partition}/{first.offset}").headers["content-type"] == "application/json"
    wanted = {"letters": [{"partition": letter["partition"], "offset": letter["offset"]} for letter in letters]}
    done = page.post("/api/dead/redrive", wanted)
    assert (done["redriven"], done["skipped"], done["reasons"]) == (1, 1, ["it has no key, so it belongs to no stream"])
    assert page.post("/api/dead/redrive", wanted)["redriven"] == 0
    states = {letter["feed"]: letter["state"] for letter in page.get("/api/dead")["letters"]}
    assert states == {"city": "redriven", "": "waiting"}
    page.get("/api/dead/0/999", 404)
    page.get("/api/dead/x/1", 404)


def test_the_health_says_what_is_wrong_first(pipeline: PagePipeline, serve: ServePage) -> None:
    """As the doctor finds it: here nobody works."""
    pipeline.window(0)
    pipeline.dead_letter()
    page = serve()
    page.until_read(1)
    body = page.get("/api/health")
    severities = [finding["severity"] for finding in body["findings"]]
    assert severities == sorted(severities, key=["wrong", "note", "unknown", "ok"].index)
    worker = next(finding for finding in body["findings"] if finding["code"] == "worker")
    assert "`triptych work`" in worker["what_to_do"]
    assert worker["text_zh"]
    assert {row["topic"]: row["records"] for row in body["topics"]}["triptych.video"] == 2
    assert body["groups"] == [{"group": "triptych", "members": 0, "lag": None}]
    assert body["dead"] == [{"reason": "broken_media", "n": 1}]
    assert body["models"][0]["feeds"] == 1
    assert [row["feed"] for row in body["producers"]] == ["city"]
    assert body["redis"]["used"] is False


def test_a_client_that_comes_back_to_a_new_server_misses_nothing(pipeline: PagePipeline, serve: ServePage) -> None:
    """And gets nothing twice."""
    pipeline.publish_bare(0, *"abc")
    page = serve()
    page.until_read(3)
    reader = EventReader(page.server.url, page.get("/api/wall")["cursor"])
    pipeline.publish_bare(1, "a")
    until(lambda: [tile["feed"] for tile in reader.of_kind("tile")] == ["a"])
    reader.close()
    pipeline.publish_bare(1, "b")
    again = serve()
    back = EventReader(again.server.url, reader.cursor)
    pipeline.publish_bare(1, "c")
    until(lambda: len(back.of_kind("tile")) == 2)
    pipeline.publish_bare(2, "a")
    until(lambda: len(back.of_kind("tile")) == 3)
    assert [tile["feed"] for tile in back.of_kind("tile")] == ["b", "c", "a"]
    assert back.of_kind("health")[0]["feeds"] == 3
    back.close()


def test_a_cursor_that_is_none_lets_the_client_load_again(pipeline: PagePipeline, serve: ServePage) -> None:
    """By an event, so that the browser's own reconnection does not repeat it."""
    del pipeline
    page = serve()
    for cursor in ("nonsense", "page.WyJ4Iix7fV0"):
        reader = EventReader(page.server.url, cursor)
        until(lambda reader=reader: len(reader.of_kind("gone")) == 1)
        reader.close()


@pytest.mark.parametrize("feed", BAD_FEEDS)
def test_a_hostile_name_of_a_feed_is_answered_as_an_error(pipeline: PagePipeline, serve: ServePage, feed: str) -> None:
    """In JSON, never repeated as markup."""
    pipeline.window(0)
    page = serve()
    for path in (f"/api/feeds/{feed}/timeline", f"/api/feeds/{feed}/windows/1-2", f"/api/feeds/{feed}/pictures/0/0"):
        answer = page.client.get(httpx2.URL(page.server.url).copy_with(raw_path=path.encode()))
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == {"error", "what_to_do"}


def test_without_a_front_end_the_page_says_how_to_build_it(serve: ServePage) -> None:
    """The API works."""
    page = serve()
    answer = page.client.get("/feed/city")
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "make page" in answer.text or 'id="app"' in answer.text
    page.get("/api/nothing", 404)
    assert page.client.get("/missing.js").status_code == 404
    assert page.client.post("/api/wall", json={}, headers={"X-Triptych": "1"}).status_code == 405


def test_an_address_in_use_is_an_error_that_says_so(serve: ServePage) -> None:
    """Before anything is read."""
    page = serve()
    port = httpx2.URL(page.server.url).port
    with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
        serve(listen=ListenOptions(port=port or 0))


def test_a_page_that_cannot_read_any_more_ends(
    pipeline: PagePipeline, serve: ServePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a defect of its own: it would show old windows as if they were new."""
    page = serve()

    def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(page.server.state, "add_results", fail)
    pipeline.publish_bare(0, "a")
    until(lambda: not page.server.is_running)
