"""A subscription that delivers nothing says which streams there are."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from triptych.consumers.subscription.result_source import SourceUnavailableError
from triptych.consumers.watching.silence import Silence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.consumers.conftest import Bench, MakeResult


class Known:
    """A source that knows these streams."""

    def __init__(self, *streams: str) -> None:
        self._streams = streams
        self.asked = threading.Event()

    def streams(self) -> Sequence[str]:
        """Return the streams."""
        self.asked.set()
        return self._streams

    def close(self) -> None:
        """Do nothing."""


def silence(source: object, stream: str | None, *, delivered: int = 0, patience_s: float = 0) -> Silence:
    """Watch a subscription that has delivered so many results."""
    return Silence(lambda: delivered, source, stream, "city", patience_s=patience_s)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stream", "hint"),
    [
        ("fillm", "no result of this stream is known"),
        ("film", "earlier results and no new one"),
        (None, "`triptych doctor --pipeline city`"),
    ],
)
def test_the_streams_with_results_are_named(stream: str | None, hint: str) -> None:
    """With a hint that fits, and the command that examines it."""
    with capture_logs() as logs:
        silence(Known("door", "film"), stream).report()
    (event,) = logs
    assert (event["event"], event["stream"], event["streams_with_results"]) == (
        "no_result_yet",
        stream,
        ["door", "film"],
    )
    assert hint in event["hint"]
    assert f"`triptych doctor{f' {stream}' if stream else ''} --pipeline city`" in event["hint"]


def test_it_is_said_during_the_subscription_after_some_patience() -> None:
    """Without an end that anybody waits for."""
    source = Known("film")
    with capture_logs() as logs, silence(source, "fillm").reported(at_end=False):
        assert source.asked.wait(60)
    assert [event["event"] for event in logs] == ["no_result_yet"]


def test_nothing_is_said_after_a_result_or_within_the_patience() -> None:
    """Nor twice."""
    with capture_logs() as logs:
        with silence(Known(), "film", patience_s=60).reported(at_end=False):
            pass
        with silence(Known(), "film", delivered=1).reported(at_end=True):
            pass
    assert logs == []


def test_a_source_that_does_not_answer_is_named() -> None:
    """The subscription itself goes on."""

    class Away(Known):
        def streams(self) -> Sequence[str]:
            raise SourceUnavailableError("Redis does not answer")

    with capture_logs() as logs:
        silence(Away(), "film").report()
    assert logs[0]["error"] == "Redis does not answer"


@pytest.mark.parametrize("kind", ["memory", "kafka", "redis"])
def test_each_source_knows_its_streams(kind: str, request: pytest.FixtureRequest, make_result: MakeResult) -> None:
    """Of its pipeline only."""
    bench: Bench = request.getfixturevalue(f"{kind}_bench")
    bench.publish(*(make_result(number, stream) for stream in ("b", "a") for number in range(3)))
    with bench.subscriber() as subscriber:
        assert subscriber._source.streams() == ("a", "b")  # noqa: SLF001 - there is no public way to a source
