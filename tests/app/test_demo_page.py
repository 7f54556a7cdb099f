"""`triptych demo --page`: the sample clips on a page, without any server, until Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.resources import as_file, files
from importlib.util import find_spec
from typing import Self

import httpx2
import pytest
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner

from triptych import demo_ask, demo_page
from triptych.consumers.page.program import PageEndedError
from triptych.demo import SAMPLES, demo
from triptych.demo_page import play_on_page
from triptych.demo_parts import parts_in_memory
from triptych.schemas.errors import UsageError
from triptych.settings.loading import load

LIMIT_S = 120.0


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds that another process does."""
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.2)


def test_the_demo_shows_its_clips_on_a_page_until_ctrl_c() -> None:
    """With pictures, words, sound and events; what was said can be asked; and the state of the pipeline is fine."""
    environment = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "BROWSER"}}
    command = [sys.executable, "-u", "-m", "triptych", "demo", "--page"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in process.stdout)))
            with httpx2.Client(base_url=found[0], timeout=30) as client:
                question = {"question": "When was the young man mentioned?"}
                early = client.post("/api/ask", json=question, headers={"X-Triptych": "1"}).json()
                assert early["error"] == "the index is still being prepared"  # the model loads for longer
                until(lambda: len(client.get("/api/wall").json()["feeds"]) == 3)
                until(lambda: any(tile["words"] for tile in client.get("/api/wall").json()["feeds"]))
                for tile in client.get("/api/wall").json()["feeds"]:
                    picture = client.get(tile["picture"]["url"])
                    assert picture.headers["content-type"] == "image/jpeg", picture.text
                    window = client.get(f"/api/feeds/~{tile['feed']}/windows/{tile['window_id']}").json()
                    assert window["pictures"]
                    assert client.get(window["sound_url"]).content.startswith(b"RIFF")
                until(lambda: len(client.get("/api/review").json()["events"]) > 0)
                until(lambda: bool(client.get("/api/search", params={"said": "young man"}).json().get("moments")))
                answer = client.post("/api/ask", json=question, headers={"X-Triptych": "1"}).json()
                assert (answer["outcome"], answer["moments"][0]["is_kept"]) == ("answered", True)
                health = client.get("/api/health").json()
                assert [finding for finding in health["findings"] if finding["severity"] == "wrong"] == []
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0


class DeadServer:
    """A server of the page that has ended by itself."""

    url = "http://127.0.0.1:1/"
    is_running = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_page_that_has_ended_by_itself_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the end that Ctrl-C brings."""
    monkeypatch.setattr(demo_page, "_page", lambda *_: DeadServer())
    monkeypatch.setattr("triptych.consumers.page.browser.open_in_browser", lambda _: True)
    settings = load(None, {"model.name": "null"})
    with ExitStack() as stack:
        clip = stack.enter_context(as_file(files("triptych.samples").joinpath(SAMPLES[0])))
        parts = parts_in_memory(stack, settings)
        with pytest.raises(PageEndedError, match="ended by an error"):
            play_on_page(stack, settings, parts, [clip], Console(quiet=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--page", "--fast"], "expected --page without --fast"),
        (["--page", "--kafka", "--redis-url", "redis://127.0.0.1:1/0"], "expected Kafka and Redis, found no Redis"),
    ],
)
def test_a_demo_that_cannot_be_is_refused_with_the_reason(options: list[str], said: str) -> None:
    """Before anything is played, or looked for on a server."""
    with pytest.raises(UsageError, match=said):
        run_demo(options)


def test_questions_without_their_extra_are_refused_before_anything_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra that brings all of it."""
    monkeypatch.setattr(demo_ask, "find_spec", lambda name: None if name == "pyoxigraph" else find_spec(name))
    monkeypatch.setattr("triptych.demo.parts_in_memory", lambda *_: pytest.fail("the demo has begun"))
    with pytest.raises(UsageError, match=r"--ask needs pyoxigraph.*pip install 'triptych\[ask\]'"):
        run_demo(["--ask", "--model", "null"])


def run_demo(options: list[str]) -> None:
    """Run the command; raise what it raises."""
    typer_app = Typer()
    typer_app.command()(demo)
    CliRunner().invoke(typer_app, options, catch_exceptions=False)
