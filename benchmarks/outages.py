"""How soon results go on after an outage: `python -m benchmarks.outages [rounds] [seconds away]`.

It starts its own broker, Redis, worker and producer; a clip is looped at its own pace. Each round measures three times,
to the first complete new result in Redis:

- `broker`: from when a killed broker answers again;
- `worker`: from when a worker that was killed (SIGKILL) is started again, as the same static member;
- `both`: the same, where the broker was killed and started again between the two.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.e2e.films import write_film
from tests.e2e.programs import Installation, Program, wait_until
from tools.devservers import DevKafka, DevRedis
from triptych.schemas.results import Result

AWAY_S: Final = 12.0
ROUNDS: Final = 5
LIMIT_S: Final = 180.0
FILM_S: Final = 30
PIPELINE: Final = "bench-outages"


def main(args: Sequence[str]) -> None:
    """Print one line for each round, and the medians."""
    rounds, away_s = int(args[0]) if args else ROUNDS, float(args[1]) if len(args) > 1 else AWAY_S
    took_s: dict[str, list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kafka, redis = stack.enter_context(DevKafka()), stack.enter_context(DevRedis())
        settings = {"TRIPTYCH_KAFKA_GROUP_INSTANCE_ID": f"worker-{uuid.uuid4().hex[:8]}"}
        here = Installation(kafka.bootstrap_servers, redis.url, PIPELINE, folder, settings)
        here.make_topics()
        film = write_film(folder / "hall.mkv", seconds=FILM_S, tone_hz=440)
        worker = stack.enter_context(_Worker(here))
        producer = Program(("produce", str(film), "--realtime", "--loop", "0"), here.environ(), folder)
        stack.callback(producer.kill)
        _complete_after(here, lambda: None)
        for number in range(1, rounds + 1):
            kafka.kill()
            time.sleep(away_s)
            measured = {"broker": _complete_after(here, kafka.start)}
            worker.kill()
            measured["worker"] = _complete_after(here, worker.start)
            worker.kill()
            kafka.kill()
            time.sleep(away_s)
            kafka.start()
            measured["both"] = _complete_after(here, worker.start)
            for what, seconds in measured.items():
                took_s.setdefault(what, []).append(seconds)
            _write(f"round {number}", measured)
    _write(f"median of {rounds}, {away_s:g} s away", {what: statistics.median(each) for what, each in took_s.items()})


class _Worker:
    """A worker that is killed and started again. It is killed at the end of a `with` block."""

    def __init__(self, here: Installation) -> None:
        self._here = here
        self.start()

    def start(self) -> None:
        """Start it."""
        self._program = Program(("work",), self._here.environ(), self._here.folder)

    def kill(self) -> None:
        """Kill it, as in a crash."""
        self._program.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def _complete_after(here: Installation, start: Callable[[], None]) -> float:
    """Return in how many seconds after `start` has returned Redis has a complete window that it did not have before."""
    known = {result.window for result in here.in_redis()}
    start()
    started_s = time.monotonic()
    wait_until(
        lambda: any(_is_complete(result) and result.window not in known for result in here.in_redis()),
        "a complete new result",
        limit_s=LIMIT_S,
    )
    return time.monotonic() - started_s


def _is_complete(result: Result) -> bool:
    states = result.modalities.video.state, result.modalities.audio.state
    return result.closed_by == "progress" and states == ("present", "present")


def _write(label: str, measured: dict[str, float]) -> None:
    sys.stdout.write(f"{label}: " + ", ".join(f"{what} {seconds:.1f} s" for what, seconds in measured.items()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
