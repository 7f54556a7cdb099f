"""`triptych demo --page`: the sample clips on a page, without any server, until Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import httpx2

LIMIT_S = 120.0


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds that another process does."""
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.2)


def test_the_demo_shows_its_clips_on_a_page_until_ctrl_c() -> None:
    """With pictures, words, sound and events; and the state of the pipeline is fine."""
    environment = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "BROWSER"}}
    command = [sys.executable, "-u", "-m", "triptych", "demo", "--page"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in process.stdout)))
            with httpx2.Client(base_url=found[0], timeout=30) as client:
                until(lambda: len(client.get("/api/wall").json()["feeds"]) == 3)
                until(lambda: any(tile["words"] for tile in client.get("/api/wall").json()["feeds"]))
                for tile in client.get("/api/wall").json()["feeds"]:
                    picture = client.get(tile["picture"]["url"])
                    assert picture.headers["content-type"] == "image/jpeg", picture.text
                    window = client.get(f"/api/feeds/~{tile['feed']}/windows/{tile['window_id']}").json()
                    assert window["pictures"]
                    assert client.get(window["sound_url"]).content.startswith(b"RIFF")
                until(lambda: len(client.get("/api/review").json()["events"]) > 0)
                health = client.get("/api/health").json()
                assert [finding for finding in health["findings"] if finding["severity"] == "wrong"] == []
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0
