"""Tiny foundation models, a prompt, a rule, an alert and descriptions: the whole chain on real servers, with kills."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.e2e.programs import Installation, Program, assert_equal_results, wait_until
from tests.models.foundation import tiny_models
from tests.scripted_endpoint import scripted_endpoint
from triptych.schemas.names import descriptions_topic
from triptych.schemas.perception.description_codec import decode_description
from triptych.schemas.perception.vectors import decode_vector

NAME = "librivox_city_15s"
SETTINGS = {
    "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": "6000",
    "TRIPTYCH_WORKER_COMMIT_INTERVAL_MS": "50",
    "TRIPTYCH_PROMPTS_DELAY_MS": "300",
    "TRIPTYCH_BATCH_MAX_WINDOWS": "1",
    "TRIPTYCH_MODEL_RUNTIME": "torch",  # several workers start: another runtime would be compared with torch by each
    "TRIPTYCH_MODEL_DETECTOR_THRESHOLD": "0.05",
}
START = "2026-01-01T00:00:00Z"
"""A multiple of the window: otherwise the last window may have no picture."""
RULE = "matches['bridge'] >= 0 and counts['dog'] >= 0 and video == 'present'"
"""True for every window: what tiny random models say means nothing, but each name must have a value."""


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    """Return the options that name three tiny models."""
    made = {
        "--picture-space": tiny_models.tiny_siglip(tmp_path / "siglip"),
        "--sound-space": tiny_models.tiny_clap(tmp_path / "clap"),
        "--detector": tiny_models.tiny_rt_detr(tmp_path / "detector"),
    }
    return [word for option, folder in made.items() for word in (option, f"folder:{folder}")]


@pytest.fixture
def posted() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return the address of a webhook, and the messages that it has got."""
    messages: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Accept a message."""
            messages.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", messages
    server.shutdown()
    thread.join()
    server.server_close()


def killed_after(here: Installation, results: int, *options: str) -> None:
    """Run a worker until there are this many results, and kill it."""
    worker = Program(("work", *options), here.environ(), here.folder)
    wait_until(lambda: here.count_results() >= results or not worker.is_running, f"{results} results")
    assert worker.is_running, f"the worker ended by itself:\n{worker.err}"
    worker.kill()


@pytest.mark.timeout(600)
def test_foundation_models_serve_prompts_rules_alerts_and_descriptions(
    install: Callable[..., Installation],
    clip: Callable[[str], str],
    sources: list[str],
    posted: tuple[str, list[dict[str, Any]]],
) -> None:
    """Each window has one result, one match and one description, although worker and `triptych describe` are killed."""
    here = install(**SETTINGS)
    here.run("prompts", "set", "bridge", "a steel bridge", "--zh", "一座桥").succeeded()
    here.run("produce", clip(f"{NAME}.mkv"), "--start-at", START).succeeded()

    for published in (2, 5):
        killed_after(here, published, *sources)
    here.run("work", "--until-end", *sources).succeeded()

    undisturbed = here.other_pipeline(f"{here.pipeline}-undisturbed")
    undisturbed.run("work", "--until-end", *sources, TRIPTYCH_PROMPTS_PIPELINE=here.pipeline).succeeded()

    results = here.in_topic()
    windows = {result.id for result in results}
    assert len(results) == len(windows) >= 8
    assert_equal_results(undisturbed.in_topic(), results)
    for result in results:
        assert result.vectors is not None
        assert result.vectors.fused is not None  # of the pictures alone, and not repeated as `video`
        assert len(decode_vector(result.vectors.fused)) == 16
        assert set(result.matches or {}) == {"bridge"}
        assert (result.matches or {})["bridge"].similarity.video is not None
        assert result.counts is not None
    assert any(result.sound_vectors is not None for result in results)
    assert any(result.detections for result in results)

    url, messages = posted
    secret = here.folder / "secret"
    secret.write_text(f"whsec_{b64encode(bytes(32)).decode()}")
    delivery = ["--url", url, "--secret-file", str(secret), "--cursor-file", str(here.folder / "alert.json")]
    from_beginning = ["--since", "beginning", "--until-end"]
    here.run("alert", "--where", RULE, "--hold", "4s", *delivery, *from_beginning).succeeded()
    assert len(messages) == 1  # one event, not one message for each window

    with scripted_endpoint() as endpoint:
        asked = ["--endpoint", endpoint.url, "--model", "tiny", "--since", "beginning", "--repeat", "--where", RULE]
        for point, number in (("answered", "1"), ("published", "2")):
            dying = Program([point, number, *asked], here.environ(), here.folder, module="tests.e2e.dying_describer")
            assert dying.wait().exit_code != 0
        here.run("describe", *asked, "--until-end").succeeded()
    described = [decode_description(record.key, record.value, record.headers) for record in _descriptions(here)]
    assert Counter(one.result for one in described) == dict.fromkeys(windows, 1)


def _descriptions(here: Installation) -> list[Any]:
    return list(here.records(descriptions_topic(here.pipeline)))
