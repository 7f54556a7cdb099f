"""One row of the table: a looped clip, a live worker and real servers during one outage."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from tests.chaos.experiment import documents_in_topic
from tests.chaos.link import Link
from tests.chaos.sent import LoopedClip, read_input_topics
from tests.chaos.truth import TruthComparison, compare_with_truth, final_windows
from tests.chaos.workers import start_worker
from tests.e2e.programs import Installation, wait_until
from tests.outages.rows import Place, Row
from tools.devservers import DevKafka, DevRedis, ExtraListener, KafkaOptions
from tools.devservers.ports import free_ports
from triptych.schemas.codec import decode_result
from triptych.schemas.names import results_topic
from triptych.schemas.results import Result
from triptych.units import NS_PER_MS, NS_PER_S

CLIP: Final = str(files("triptych.samples").joinpath("librivox_city_15s.mkv"))
STREAM: Final = "clip"
WINDOW_NS: Final = NS_PER_S
BEFORE_S: Final = 8.0
AFTER_S: Final = 10.0
PRESENT_NS: Final = 5 * NS_PER_S
"""How much later than usual a result of the present may be."""
_CATCH_UP_LIMIT_S: Final = 240.0
_LOOK_S: Final = 1.0
_SETTINGS: Final = {
    "TRIPTYCH_WINDOW_SIZE_MS": f"{WINDOW_NS // NS_PER_MS}",
    "TRIPTYCH_KAFKA_GROUP_INSTANCE_ID": "one",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What one outage did.

    Attributes:
        row: the outage.
        away_s: how long it lasted, with the start of what was away.
        truth: the final windows compared with what was sent.
        back_s: from its end to the first new window that closed by `progress`; None if there was none.
        latest_s: how much later than usual the latest window was published first.
    """

    row: Row
    away_s: float
    truth: TruthComparison
    back_s: float | None
    latest_s: float


def run_row(row: Row, *, bug: str | None, late: str) -> Trial:
    """Run one outage on new servers."""
    with ExitStack() as stack:
        [port] = free_ports(1)
        link = stack.enter_context(Link([port], seed=1))
        extra = ExtraListener(port, link.relays[0].port)
        kafka = stack.enter_context(DevKafka(KafkaOptions(starts_often=True), extra=extra))
        store = stack.enter_context(DevRedis())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="triptych-outage-")))
        settings = {**_SETTINGS, "TRIPTYCH_ALIGN_LATE": late}
        here = Installation(kafka.bootstrap_servers, store.url, "outages", folder, settings)
        here.make_topics()
        worker = start_worker(here, "work", bug=bug)
        stack.callback(worker.kill)
        worker.wait_for("partitions_assigned")
        behind_link = Installation(link.bootstrap_servers, store.url, "outages", folder, settings)
        feed = LoopedClip(behind_link, STREAM, CLIP)
        stack.callback(feed.program.kill)
        feed.wait_until_played(here)
        need_bytes_per_s = link.measured_bytes_per_s(BEFORE_S)

        from_ns = time.time_ns()
        row.cause(Place(kafka, feed, link, need_bytes_per_s), row.length_s)
        to_ns = time.time_ns()
        wait_until(lambda: _is_at_present(here, to_ns), "results of the present", limit_s=_CATCH_UP_LIMIT_S)
        time.sleep(AFTER_S)
        feed.stop().succeeded()
        worker.stop().succeeded()
        start_worker(here, "work", "--until-end", bug=bug).wait().succeeded()
        topics = read_input_topics(here)
        windows = final_windows(documents_in_topic(here))
        truth = compare_with_truth(feed.truth(topics), windows, topics.items, size_ns=WINDOW_NS)
        back_s, latest_s = _delays(here, to_ns)
        return Trial(row, (to_ns - from_ns) / NS_PER_S, truth, back_s, latest_s)


def _is_at_present(here: Installation, to_ns: int) -> bool:
    """Tell whether a result after the outage is hardly later than the earliest ones, so that nothing lags any more."""
    time.sleep(_LOOK_S)
    delays = [(at_ns, at_ns - result.end_ns) for at_ns, result in _first_results(here)]
    usual_ns = min((delay_ns for _, delay_ns in delays), default=0)
    return any(at_ns > to_ns and delay_ns < usual_ns + PRESENT_NS for at_ns, delay_ns in delays)


def _first_results(here: Installation) -> list[tuple[int, Result]]:
    """Return the first result of each window, with its time of arrival on the topic."""
    records = here.each_record(results_topic(here.pipeline))
    results = [(record.arrival_ns, decode_result(record.key, record.value, record.headers)) for record in records]
    return [(at_ns, result) for at_ns, result in results if result.revision == 0]


def _delays(here: Installation, to_ns: int) -> tuple[float | None, float]:
    """Return the seconds until a new window was published, and how much later than usual the latest one was."""
    firsts = _first_results(here)
    new = [at_ns for at_ns, result in firsts if at_ns > to_ns and result.closed_by == "progress"]
    delays = [at_ns - result.end_ns for at_ns, result in firsts]
    return (min(new) - to_ns) / NS_PER_S if new else None, (max(delays) - min(delays)) / NS_PER_S
