"""An OpenAI-compatible endpoint over real HTTP that answers as a test says: slowly, wrongly, in part, or not at all.

It answers probes as a server with the given abilities does; the plan is for requests about windows.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Step = str | int | dict[str, Any] | Callable[[dict[str, Any]], str]
"""What the endpoint does next: a status; `hang`, `drop`, `half body`; headers and status; or the text to answer."""

LIMIT_S = 30.0
PROBE = "Answer with the JSON object"
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def good_answer(body: dict[str, Any], **changes: Any) -> str:  # noqa: ANN401 - any field of the answer
    """Return a valid answer to a request, from its own schema or instructions."""
    names = asked_names(body)
    answer = {
        "title": "A street",
        "what_happens": "Cars pass.",
        "who": ["a driver"],
        "answers": dict.fromkeys(names, "yes"),
        "confidence": 0.75,
    }
    return json.dumps(answer | changes)


def asked_names(body: dict[str, Any]) -> list[str]:
    """Return the names of the questions in a request."""
    lines = body["messages"][0]["content"].splitlines()
    return [line[2:].split(":")[0] for line in lines if line.startswith(("- question_", "- prompt_"))]


def texts(body: dict[str, Any]) -> list[str]:
    """Return the texts of the user's message of a request."""
    content = body["messages"][-1]["content"]
    return [content] if isinstance(content, str) else [part["text"] for part in content if part["type"] == "text"]


def kinds(body: dict[str, Any]) -> list[str]:
    """Return the kinds of the parts of the user's message."""
    content = body["messages"][-1]["content"]
    return ["text"] if isinstance(content, str) else [part["type"] for part in content]


@dataclass
class ScriptedEndpoint:
    """What the endpoint takes, how it answers next, and what it was asked about windows."""

    url: str = ""
    key: str | None = None
    takes: frozenset[str] = frozenset({"image_url", "json_schema", "json_object"})
    plan: list[Step] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], str] = good_answer
    usage: dict[str, Any] | None = field(default_factory=lambda: dict(USAGE))
    asked: list[dict[str, Any]] = field(default_factory=list)
    probes: list[dict[str, Any]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    slow_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def windows(self) -> list[str]:
        """Return the starts of the windows that were asked about, in order."""
        found = []
        for body in self.asked:
            summary = json.loads(texts(body)[0].splitlines()[1])["window"]
            found.append(f"{summary['stream']} {summary['start'][11:19]}")
        return found

    @contextmanager
    def counted(self, body: dict[str, Any]) -> Iterator[Step | None]:
        """Note a request about a window, and yield what is planned for it."""
        with self.lock:
            self.asked.append(body)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            step = self.plan.pop(0) if self.plan else None
        try:
            yield step
        finally:
            with self.lock:
                self.at_once -= 1

    def rejects(self, body: dict[str, Any]) -> str | None:
        """Return why a request is rejected: content or a format that the endpoint does not take."""
        needed = {kind for kind in kinds(body) if kind != "text"}
        needed |= {body["response_format"]["type"]} if "response_format" in body else set()
        missing = sorted(needed - self.takes)
        return f"{missing[0]} is not supported" if missing else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    endpoint: ScriptedEndpoint

    def handle_error(self, *_: object) -> None:
        """Ignore clients that were killed or have given up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Answer a request as planned."""
        endpoint = self.server.endpoint
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if endpoint.key is not None and self.headers.get("authorization") != f"Bearer {endpoint.key}":
            self._respond(401, {"error": {"message": "Incorrect API key provided"}})
            return
        if any(PROBE in text for text in texts(body)):
            endpoint.probes.append(body)
            rejected = endpoint.rejects(body)
            self._complete('{"ok": true}') if rejected is None else self._reject(rejected)
            return
        with endpoint.counted(body) as step:
            rejected = endpoint.rejects(body)
            time.sleep(endpoint.slow_s)
            self._do(step, body) if rejected is None else self._reject(rejected)

    def _do(self, step: Step | None, body: dict[str, Any]) -> None:
        endpoint = self.server.endpoint
        match step:
            case int():
                self._respond(step, {"error": {"message": f"planned {step}"}}, retry_after="0")
            case {"status": int(status), "retry_after": str(after)}:
                self._respond(status, {"error": {"message": "slow down"}}, retry_after=after)
            case "hang":
                endpoint.over.wait(LIMIT_S)
            case "drop":
                self.close_connection = True
            case "half body":
                self._complete(endpoint.answer(body), share=0.5)
                self.close_connection = True
            case None:
                self._complete(endpoint.answer(body))
            case _ if callable(step):
                self._complete(step(body))

    def _reject(self, reason: str) -> None:
        self._respond(400, {"error": {"message": reason}})

    def _complete(self, text: str, *, share: float = 1.0) -> None:
        usage = self.server.endpoint.usage
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        document: dict[str, Any] = {"id": "1", "object": "chat.completion", "choices": [choice]}
        self._respond(200, document if usage is None else document | {"usage": usage}, share=share)

    def _respond(self, status: int, document: object, *, share: float = 1.0, retry_after: str = "") -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        if retry_after:
            self.send_header("retry-after", retry_after)
        self.end_headers()
        self.wfile.write(content[: int(len(content) * share)])

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def scripted_endpoint() -> Iterator[ScriptedEndpoint]:
    """Start an endpoint that answers well, until the plan says otherwise."""
    endpoint = ScriptedEndpoint()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.endpoint = endpoint
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield endpoint
    finally:
        endpoint.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
