"""`triptych watch` as its own process, on real servers."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult, RedisBench, TopicBench

LIMIT_S = 30
REPOSITORY = Path(__file__).parents[3]


def command(*args: str) -> list[str]:
    """Return the command line."""
    return [sys.executable, "-m", "triptych", "watch", *args]


def where(bench: RedisBench | TopicBench, kafka_bootstrap: str = "") -> list[str]:
    """Return the flags for the test's pipeline."""
    server = ["--redis-url", bench.url] if hasattr(bench, "url") else ["--bootstrap-servers", kafka_bootstrap]
    return ["--from", bench.kind, "--pipeline", bench.pipeline, *server]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        command(*args), capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=REPOSITORY, env=environment()
    )


def environment() -> dict[str, str]:
    """Return an environment without Triptych settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TRIPTYCH_")}


@contextmanager
def running(*args: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command; stop it at the end."""
    process = subprocess.Popen(
        command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY, env=environment()
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def next_line(out: IO[bytes] | None) -> bytes:
    """Return the next line; fail after a limit."""
    assert out is not None
    ready, _, _ = select.select([out], [], [], LIMIT_S)
    assert ready, "no line came"
    return out.readline()


def test_existing_results_are_printed_as_json_lines(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """Each line is a result exactly as published; then the command ends."""
    made = [make_result(number, stream) for stream in ("a", "b") for number in range(3)]
    redis_bench.publish(*made)
    ended = run("--until-end", *where(redis_bench))
    assert ended.returncode == 0, ended.stderr
    assert sorted(ended.stdout.splitlines()) == sorted(result.model_dump_json() for result in made)


def test_kafka_returns_the_same_lines(kafka_bench: TopicBench, kafka_bootstrap: str, make_result: MakeResult) -> None:
    """For all streams or for one."""
    made = [make_result(number, stream) for stream in ("a", "b") for number in range(3)]
    kafka_bench.publish(*made)
    ended = run("--until-end", *where(kafka_bench, kafka_bootstrap))
    assert ended.returncode == 0, ended.stderr
    assert sorted(ended.stdout.splitlines()) == sorted(result.model_dump_json() for result in made)
    ended = run("b", "--until-end", "--json", *where(kafka_bench, kafka_bootstrap))
    assert ended.stdout.splitlines() == [make_result(number, "b").model_dump_json() for number in range(3)]


def test_the_logged_cursor_continues_from_there(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """`--since` accepts it."""
    redis_bench.publish(make_result(0))
    first = run("--until-end", *where(redis_bench))
    cursor = json.loads(first.stderr.splitlines()[-1])["cursor"]
    redis_bench.publish(make_result(1))
    second = run("--until-end", "--since", cursor, *where(redis_bench))
    assert second.stdout.splitlines() == [make_result(1).model_dump_json()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_results_are_printed_at_once_and_a_signal_ends_it(
    redis_bench: RedisBench, make_result: MakeResult, number: signal.Signals, code: int
) -> None:
    """Lines are not buffered. SIGTERM is a clean end; SIGINT has its own exit code."""
    redis_bench.publish(make_result(0))
    with running(*where(redis_bench)) as process:
        assert json.loads(next_line(process.stdout))["id"] == make_result(0).id
        redis_bench.publish(make_result(1))
        assert json.loads(next_line(process.stdout))["id"] == make_result(1).id
        process.send_signal(number)
        assert process.wait(LIMIT_S) == code
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_closed_pipe_ends_it(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """As in `| head -1`: no traceback, no error."""
    redis_bench.publish(make_result(0))
    with running(*where(redis_bench)) as process:
        next_line(process.stdout)
        assert process.stdout is not None
        process.stdout.close()
        redis_bench.publish(make_result(1))
        assert process.wait(LIMIT_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_terminal_gets_a_table(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """One row per stream, with its newest window."""
    redis_bench.publish(make_result(0), make_result(1), make_result(0, "harbour"))
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command("--until-end", *where(redis_bench)),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=REPOSITORY,
        env=environment() | {"COLUMNS": "120", "LINES": "30", "TERM": "xterm"},
    )
    os.close(follower)
    shown = read_to_the_end(leader)
    assert process.wait(LIMIT_S) == 0
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown[shown.rindex("V A S") :])
    assert re.search(r"city +00:00:02 +● ○ - +tabby cat 81%", last)
    assert re.search(r"harbour +00:00:00", last)
    assert "3 windows of 2 streams" in last
    assert "{" not in last


def test_logs_go_to_stderr(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """An invalid result is logged there, and the others are printed."""
    redis_bench.publish(make_result(0))
    redis_bench.publish_junk("city", b"{}")
    ended = run("--until-end", *where(redis_bench))
    assert ended.stdout.splitlines() == [make_result(0).model_dump_json()]
    assert "result_malformed" in ended.stderr


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--since", "yesterday"], 2, "since: expected"),
        (["no such stream"], 2, "stream id: expected"),
        (["--pipeline", "{x}"], 2, "pipeline"),
        (["--redis-url", "redis://127.0.0.1:1/0"], 3, "Redis does not answer"),
        (["--from", "kafka", "--bootstrap-servers", "127.0.0.1:1"], 3, "127.0.0.1:1"),
    ],
)
def test_an_error_is_one_line(redis_url: str, args: list[str], code: int, said: str) -> None:
    """Exit code 2 for usage errors, 3 for an unavailable server."""
    ended = run(*(args if "--redis-url" in args else [*args, "--redis-url", redis_url]))
    assert ended.returncode == code
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert said in ended.stderr


def test_a_missing_topic_is_reported_with_the_command_that_creates_it(kafka_bootstrap: str) -> None:
    """In one line."""
    ended = run("--from", "kafka", "--bootstrap-servers", kafka_bootstrap, "--pipeline", "nobodys")
    assert ended.returncode == 2
    assert "triptych topics create --pipeline nobodys" in ended.stderr


def read_to_the_end(leader: int) -> str:
    """Return all output of a terminal until it is closed."""
    shown = b""
    deadline_s = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline_s:
        try:
            chunk = os.read(leader, 65_536)
        except OSError:  # Linux raises this when the other side is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(leader)
    return shown.decode()


def test_a_rule_selects_results(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """Matching results are printed as published. An invalid rule is one line with the position."""
    made = [make_result(number, stream) for stream in ("a", "b") for number in range(3)]
    redis_bench.publish(*made)
    ended = run("--until-end", "--where", "stream == 'b' and 'tabby' in visual", *where(redis_bench))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [result.model_dump_json() for result in made[3:]]
    ended = run("--where", "speech > .5 and 'dog' in visuals", *where(redis_bench))
    assert ended.returncode == 2
    assert "column 26" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_stream_that_nobody_sends_is_reported_with_those_there_are(
    redis_bench: RedisBench, make_result: MakeResult
) -> None:
    """After some seconds; at the end with `--until-end`."""
    redis_bench.publish(make_result(0, "city"))
    with running("cty", *where(redis_bench)) as process:
        event = json.loads(next_line(process.stderr))
    assert (event["event"], event["streams_with_results"]) == ("no_result_yet", ["city"])
    assert f"`triptych doctor cty --pipeline {redis_bench.pipeline}`" in event["hint"]

    ended = run("cty", "--until-end", *where(redis_bench))
    assert (ended.returncode, ended.stdout) == (0, "")
    assert json.loads(ended.stderr.splitlines()[-1])["event"] in {"no_result_yet", "watched"}
    assert '"no_result_yet"' in ended.stderr
    assert '"no_result_yet"' not in run("city", "--until-end", *where(redis_bench)).stderr


def test_without_a_server_it_says_what_to_start() -> None:
    """For Redis and for Kafka, with the exit code of an unavailable server."""
    away = run("--redis-url", "redis://127.0.0.1:1/0")
    assert (away.returncode, "`make redis`" in away.stderr, "`triptych demo`" in away.stderr) == (3, True, True)
    away = run("--from", "kafka", "--bootstrap-servers", "127.0.0.1:1")
    assert (away.returncode, "`make kafka`" in away.stderr) == (3, True)
