"""`triptych alert` against a real HTTP server that fails at times. The official library verifies the signatures."""

from __future__ import annotations

import itertools
import json
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from triptych.consumers.alerts.alert import AlertLoop, AlertOptions, AlertSender, ReceiverGoneError
from triptych.consumers.alerts.event_tracker import EventLimits
from triptych.consumers.alerts.http_post import Endpoint, retry_delay_s
from triptych.consumers.alerts.receiver import WebhookReceiver
from triptych.consumers.alerts.state import AlertState
from triptych.consumers.alerts.webhook import parse_secrets, webhook_message
from triptych.consumers.rules.rule import Rule
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult, RedisBench, TopicBench

SECRET = "whsec_" + "TXkgc2VjcmV0IGlzIGxvbmcgZW5vdWdoIGZvciB0aGlzIHRlc3Q="
RULE = "speech > .5 and 'tabby' in visual"
LIMIT_S = 30
REPOSITORY = Path(__file__).parents[3]


@dataclass
class Receiver:
    """What a receiver has seen, and how it answers next: a status, "drop" or "hang"; 204 by default."""

    url: str = ""
    plan: list[int | str] = field(default_factory=list)
    tried: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    forged: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, headers: dict[str, str], body: bytes) -> int | str:
        """Accept a message, or answer as planned."""
        with self.lock:
            self.tried.append((headers, body))
            try:
                Webhook(SECRET).verify(body, headers)
            except WebhookVerificationError:
                self.forged += 1
            planned = self.plan.pop(0) if self.plan else 204
            if planned == 204:
                self.taken.append((headers["webhook-id"], json.loads(body)))
            return planned

    def results(self) -> list[str]:
        """Return the ids of the accepted results, in order."""
        return [body["data"]["result"]["id"] for _, body in self.taken]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real HTTP server."""
    found = Receiver()
    over = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["content-length"])
            body = self.rfile.read(size)
            if len(body) < size:  # the sender was killed between the headers and the end of the body
                self.close_connection = True
                return
            planned = found.answer({name.lower(): value for name, value in self.headers.items()}, body)
            if planned == "drop":
                self.close_connection = True
                return
            if planned == "hang":
                over.wait(LIMIT_S)
                return
            self.send_response(int(planned))
            if planned == 302:
                self.send_header("location", found.url)
            if planned == 429:
                self.send_header("retry-after", "1")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/hook?key=hidden"
    yield found
    over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def alert(receiver: Receiver, tmp_path: Path) -> Callable[..., int]:
    """Send alerts for the results of a bench, up to its end; return the number of delivered matches."""

    def run(bench: TopicBench | RedisBench, *, rule: str = RULE, **changes: Any) -> int:  # noqa: ANN401 - any option
        options = AlertOptions(
            rule, receiver.url, tmp_path / "secret", tmp_path / "cursor", min_backoff_s=0.01, **changes
        )
        stop = Event()
        endpoint = Endpoint(options.url, timeout_s=options.timeout_s)
        sender = AlertSender(WebhookReceiver(endpoint, parse_secrets(SECRET, origin="-")), options, stop)
        with AlertState(options.cursor_file, options.events) as state, bench.subscriber() as subscriber:
            of_events = options.events.are_set
            alerts = AlertLoop(Rule(rule), sender, state, pipeline=bench.pipeline, of_events=of_events)
            alerts.run(subscriber.results(since=state.cursor, until_end=True), stop)
            return sender.delivered

    return run


def test_matches_are_posted_in_order_and_signed(
    memory_bench: TopicBench, make_result: MakeResult, receiver: Receiver, alert: Callable[..., int]
) -> None:
    """Each with the whole result, verified by the official Standard Webhooks library."""
    silent = make_result(1, observations={})
    memory_bench.publish(make_result(0), silent, make_result(2))
    assert alert(memory_bench) == 2
    assert receiver.results() == [make_result(0).id, make_result(2).id]
    assert receiver.forged == 0
    _, body = receiver.taken[0]
    assert body["type"] == "triptych.match"
    assert body["data"]["rule"] == RULE
    assert body["data"]["result"] == json.loads(make_result(0).model_dump_json())
    headers, content = receiver.tried[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(content.replace(b"tabby", b"tubby"), headers)


@pytest.mark.parametrize("failure", [500, 503, 404, 401, 302, 429, "drop", "hang"])
def test_a_message_that_is_not_accepted_is_retried(
    memory_bench: TopicBench,
    make_result: MakeResult,
    receiver: Receiver,
    alert: Callable[..., int],
    failure: int | str,
) -> None:
    """With the same id and body, before the following ones."""
    receiver.plan = [failure, failure, 204, failure]
    memory_bench.publish(make_result(0), make_result(1))
    assert alert(memory_bench, timeout_s=3 if failure == "hang" else LIMIT_S) == 2
    assert receiver.results() == [make_result(0).id, make_result(1).id]
    sent = [(headers["webhook-id"], body) for headers, body in receiver.tried]
    assert len(sent) == 5
    assert len(set(sent[:3])) == len(set(sent[3:])) == 1
    assert receiver.forged == 0


@pytest.mark.parametrize("source", ["memory", "redis", "kafka"])
def test_a_second_run_continues_after_the_first(
    source: str, request: pytest.FixtureRequest, make_result: MakeResult, receiver: Receiver, alert: Callable[..., int]
) -> None:
    """From every source. A result that was published twice in between is not delivered again."""
    bench = request.getfixturevalue(f"{source}_bench")
    bench.publish(make_result(0), make_result(1))
    assert alert(bench) == 2
    bench.publish_twice(make_result(1))
    bench.publish(make_result(2))
    assert alert(bench) == 1
    assert receiver.results() == [make_result(number).id for number in range(3)]


def test_a_window_is_alerted_once_however_often_it_is_revised(
    memory_bench: TopicBench, make_result: MakeResult, receiver: Receiver, alert: Callable[..., int]
) -> None:
    """The first of its results that matches is sent: of a completed window perhaps only the revision does."""
    hollow = make_result(1, observations={})
    revised = [
        result.model_copy(update={"revision": revision, "id": f"{result.window}/{revision}"})
        for result in (make_result(0), make_result(1))
        for revision in (1, 2)
    ]
    memory_bench.publish(make_result(0), hollow)
    assert alert(memory_bench) == 1
    memory_bench.publish(*revised)
    assert alert(memory_bench) == 1
    memory_bench.publish(make_result(2))
    assert alert(memory_bench) == 1
    first, completed, other = receiver.results()
    assert (first, other) == (make_result(0).id, make_result(2).id)
    assert completed in {f"{make_result(1).window}/1", f"{make_result(1).window}/2"}


def test_an_event_is_alerted_once_however_many_windows_it_has(
    memory_bench: TopicBench, make_result: MakeResult, receiver: Receiver, alert: Callable[..., int]
) -> None:
    """Also where a restart lies within it. The message tells since when the rule has held."""
    events = EventLimits(hold_ns=4_000_000_000, cool_down_ns=60_000_000_000)
    memory_bench.publish(make_result(0), make_result(1), make_result(2))
    assert alert(memory_bench, events=events) == 1
    memory_bench.publish(make_result(3), make_result(4, observations={}), *(make_result(n) for n in range(5, 9)))
    assert alert(memory_bench, events=events) == 0
    assert receiver.results() == [make_result(1).id]
    _, body = receiver.taken[0]
    assert body["data"]["event"] == {"since_ns": make_result(0).start_ns}


def test_a_gone_receiver_ends_the_command(
    memory_bench: TopicBench, make_result: MakeResult, receiver: Receiver, alert: Callable[..., int]
) -> None:
    """That is status 410; a later run delivers the match."""
    receiver.plan = [410]
    memory_bench.publish(make_result(0))
    with pytest.raises(ReceiverGoneError, match="wants no more"):
        alert(memory_bench)
    assert alert(memory_bench) == 1


def test_a_match_is_dropped_after_its_time_limit(
    memory_bench: TopicBench, make_result: MakeResult, receiver: Receiver, alert: Callable[..., int]
) -> None:
    """And the next one is delivered."""
    receiver.plan = [500]
    memory_bench.publish(make_result(0), make_result(1))
    assert alert(memory_bench, give_up_after_s=0.0) == 1
    assert receiver.results() == [make_result(1).id]


def test_two_rules_send_two_messages(
    memory_bench: TopicBench, make_result: MakeResult, receiver: Receiver, alert: Callable[..., int], tmp_path: Path
) -> None:
    """A receiver that drops duplicates by id accepts both."""
    memory_bench.publish(make_result(0))
    alert(memory_bench)
    (tmp_path / "cursor").unlink()
    alert(memory_bench, rule="speech > .1")
    assert len({message_id for message_id, _ in receiver.taken}) == 2


def test_a_cursor_file_is_locked(tmp_path: Path) -> None:
    """Two users would deliver twice."""
    with AlertState(tmp_path / "cursor"), pytest.raises(UsageError, match="another process"):
        AlertState(tmp_path / "cursor")
    (tmp_path / "cursor").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="expected a file written by"):
        AlertState(tmp_path / "cursor")


@pytest.mark.parametrize(
    "url", ["ftp://host/", "host", "http://", "http://user:secret@host/", "http://host:x/", "http://a b/", ""]
)
def test_an_invalid_url_is_rejected(url: str) -> None:
    """The error does not contain it: there may be a password in it."""
    with pytest.raises(UsageError, match="url: expected") as refused:
        Endpoint(url, timeout_s=1)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "\n", "secret", "whsec_", "whsec_AAAA", "whsec_%%%", SECRET + "\nwrong"])
def test_an_invalid_secret_is_rejected(text: str) -> None:
    """With the command that creates a valid one, and without the secret."""
    with pytest.raises(UsageError, match="openssl rand") as refused:
        parse_secrets(text, origin="file")
    assert "%%%" not in str(refused.value)


def test_a_secret_can_be_rotated(memory_bench: TopicBench, make_result: MakeResult) -> None:
    """All secrets in the file sign: a verifier with either one accepts."""
    old, new = parse_secrets(f"{SECRET}\nwhsec_{'A' * 32}\n", origin="file")
    assert old != new
    memory_bench.publish(make_result(0))
    with memory_bench.subscriber() as subscriber:
        [delivery] = subscriber.results(until_end=True).deliveries()
    message = webhook_message(delivery, rule=RULE, pipeline="p")
    headers = message.headers((new, old), now_s=int(time.time()))
    for secret in (SECRET, f"whsec_{'A' * 32}"):
        Webhook(secret).verify(message.body, headers)


@contextmanager
def alerting(bench: RedisBench, receiver: Receiver, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command on a real Redis; stop it at the end."""
    (folder / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    command = [sys.executable, "-m", "triptych", "alert", "--where", RULE, "--url", receiver.url]
    command += ["--secret-file", str(folder / "secret"), "--cursor-file", str(folder / "cursor")]
    command += ["--redis-url", bench.url, "--pipeline", bench.pipeline, *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    until_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.01)


def test_kills_lose_no_match_and_duplicates_have_the_same_id(
    redis_bench: RedisBench, make_result: MakeResult, receiver: Receiver, tmp_path: Path
) -> None:
    """All matches arrive in order. Duplicates around a kill have the same id and body."""
    made = [make_result(number) for number in range(120)]
    redis_bench.publish(*made)
    for kills in range(1, 5):
        with alerting(redis_bench, receiver, tmp_path, "--since", "2026-01-01T00:00:00Z") as process:
            wait_for(lambda kills=kills: len(receiver.taken) >= kills * 20)  # type: ignore[misc]
            process.kill()
    with alerting(redis_bench, receiver, tmp_path, "--until-end") as process:
        assert process.wait(LIMIT_S) == 0, process.stderr.read() if process.stderr else ""
    by_id = dict(receiver.taken)
    assert all(by_id[message_id] == body for message_id, body in receiver.taken)
    assert [body["data"]["result"]["id"] for body in by_id.values()] == [result.id for result in made]
    assert len(receiver.taken) <= 120 + 4
    assert receiver.forged == 0


def test_a_signal_ends_it_while_the_receiver_is_unavailable(
    redis_bench: RedisBench, make_result: MakeResult, receiver: Receiver, tmp_path: Path
) -> None:
    """Soon, with exit code 0. The next run delivers the match, and the log contains no secret."""
    redis_bench.publish(make_result(0))
    receiver.plan = [500]
    with alerting(redis_bench, receiver, tmp_path, "--since", "2026-01-01T00:00:00Z") as process:
        wait_for(lambda: len(receiver.tried) == 1)
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert receiver.taken == []
    assert SECRET not in logged
    assert "key=hidden" not in logged
    with alerting(redis_bench, receiver, tmp_path, "--until-end") as process:
        assert process.wait(LIMIT_S) == 0
    assert receiver.results() == [make_result(0).id]


@contextmanager
def dripping(line: bytes, interval_s: float) -> Iterator[str]:
    """Start a server that answers with a header that never ends, byte by byte. Yield its URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.sendall(b"HTTP/1.1 204 No Content\r\n")
                for byte in itertools.cycle(line):
                    self.request.sendall(bytes([byte]))
                    time.sleep(interval_s)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("line", [b"x-slow: 1234567890", b"a: b\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_the_timeout_covers_the_whole_request(line: bytes) -> None:
    """Each byte comes in time, the response never does."""
    with dripping(line, 0.05) as url:
        outcome = Endpoint(url, timeout_s=0.5).post(b"{}", {})  # else it would take for ever
    assert outcome.status is None
    assert not outcome.accepted


def test_the_timeout_covers_the_lookup_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was not sent by then is never sent: a retry would be a duplicate."""
    over, connected = Event(), Event()

    def look_up(*_: object, **__: object) -> Any:  # noqa: ANN401 - a socket, which nobody gets
        over.wait(LIMIT_S)
        connected.set()
        raise OSError("too late")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    assert Endpoint("http://example.test/", timeout_s=0.2).post(b"{}", {}).status is None
    assert not connected.is_set()  # it did not wait for the lookup
    over.set()
    assert connected.wait(LIMIT_S)


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        ("7", 7.0),
        ("99999999999999999999", 300.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Fri, 01 Jan 2027 00:00:00 GMT", 300.0),
        ("Wed, 01 Jan 2025 00:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        (None, 0.0),
    ],
)
def test_retry_after_has_a_ceiling(header: str | None, expected_s: float) -> None:
    """In seconds and as a date: a receiver cannot hold up its matches for longer than our own longest delay."""
    assert retry_delay_s(header, now_s=1_767_225_600.0) == expected_s


def test_a_receiver_that_does_not_answer_delays_no_other(
    redis_bench: RedisBench, make_result: MakeResult, receiver: Receiver, tmp_path: Path
) -> None:
    """Each has its own progress; the second one's is beside the first one's, and a later run continues with it."""
    redis_bench.publish(*(make_result(number) for number in range(5)))
    with dripping(b"x", 0.05) as slow_url:
        slow = replace(receiver, url=slow_url)
        since = ("--since", "2026-01-01T00:00:00Z", "--timeout", "1")
        with alerting(redis_bench, slow, tmp_path, "--url", receiver.url, *since) as process:
            wait_for(lambda: len(receiver.taken) == 5)
            process.send_signal(signal.SIGTERM)
            _, logged = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, logged
    assert "match_not_taken" in logged
    assert receiver.results() == [make_result(number).id for number in range(5)]
    with AlertState(tmp_path / "cursor") as first:
        assert not first.has_delivered(receiver.taken[0][0])
    [other] = [path for path in tmp_path.glob("cursor.*") if not path.name.endswith((".lock", ".new"))]
    with AlertState(other) as second:
        assert second.has_delivered(receiver.taken[-1][0])


@pytest.mark.parametrize("until_end", [["--until-end"], []])
def test_a_stream_that_nobody_sends_is_said_once(
    redis_bench: RedisBench, make_result: MakeResult, receiver: Receiver, tmp_path: Path, until_end: list[str]
) -> None:
    """With the streams that have results, whatever the number of receivers."""
    redis_bench.publish(make_result(0))
    args = ("nobody", "--url", f"{receiver.url}&other", *until_end)
    with alerting(redis_bench, receiver, tmp_path, *args) as process:
        assert process.stderr is not None
        logged = []
        for line in process.stderr:
            logged.append(line)
            if "no_result_yet" in line and not until_end:
                process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0, logged
    (event,) = [json.loads(line) for line in logged if "no_result_yet" in line]
    assert (event["stream"], event["streams_with_results"]) == ("nobody", [make_result(0).stream])
    assert "triptych doctor nobody" in event["hint"]


def test_a_receiver_that_is_gone_ends_alone(
    redis_bench: RedisBench, make_result: MakeResult, receiver: Receiver, tmp_path: Path
) -> None:
    """The others are served to the end; then the exit code tells of it."""
    redis_bench.publish(make_result(0), make_result(1))
    receiver.plan = [410]
    other = f"{receiver.url}&other"
    args = ("--url", other, "--since", "2026-01-01T00:00:00Z", "--until-end")
    with alerting(redis_bench, receiver, tmp_path, *args) as process:
        _, logged = process.communicate(timeout=LIMIT_S)
    assert process.returncode == ReceiverGoneError.exit_code, logged
    assert receiver.results() == [make_result(0).id, make_result(1).id]
