"""Soak test of live feeds: two cameras, a channel and a film, with every connection broken repeatedly.

    python -m tests.live_soak --minutes 10

It runs real servers and programs: RTSP and HLS servers behind relays, Kafka, Redis, `triptych produce --feeds` and
`triptych work`. The report shows the results of each stream, whether every gap was logged, the memory of each process
and whether a password leaked. The exit code is 1 if it contains a problem.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.e2e.programs import Installation, Program, status_response
from tests.live_soak.connections import Breaker
from tests.live_soak.memory import MemoryWatch
from tests.live_soak.report import Soak, report
from tests.producers.live.conftest import HERE, SYSTEM_PYTHON, serving
from tests.producers.live.relay import Relay
from tools.devservers import DevKafka, DevRedis, MissingProgramError
from tools.devservers.ports import free_ports

USER: Final = "viewer"
PASSWORD: Final = "Geheim-7391/?"  # noqa: S105 - the report searches for it
IN_URL: Final = "Geheim-7391%2F%3F"
UNDISTURBED_S: Final = 65.0
QUIET_END_S: Final = 20.0
CAMERAS: Final = ("door", "yard")
CHANNEL: Final = "channel"


def main() -> int:
    """Run the soak test with the arguments of the command line. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.live_soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="duration of the test (10)")
    parser.add_argument("--breaks", type=int, default=4, help="number of times to break each connection (4)")
    parser.add_argument(
        "--model", default="null", help="model of the worker: null, or base, which needs its weights (null)"
    )
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="triptych-soak-"))
    with ExitStack() as stack:
        exit_code = report(soak(stack, folder, options), Console(width=120))
    if exit_code == 0:
        shutil.rmtree(folder)
    else:
        sys.stdout.write(f"The output of the programs is in {folder}\n")
    return exit_code


def soak(stack: ExitStack, folder: Path, options: argparse.Namespace) -> Soak:
    """Start all servers and programs, break connections, stop the programs, and return the outcome."""
    kafka, server = stack.enter_context(DevKafka()), stack.enter_context(DevRedis())
    ports = dict(zip(("worker", "producer"), free_ports(2), strict=True))
    settings = {"TRIPTYCH_MODEL_NAME": options.model, "TRIPTYCH_HTTP_PORT": str(ports["worker"])}
    installation = Installation(kafka.bootstrap_servers, server.url, "soak", folder, settings)
    installation.make_topics()
    relays = _open_relays(stack, folder)
    feeds = _write_feeds(folder / "feeds.toml", relays)
    worker = stack.enter_context(installation.running("work"))
    worker.wait_for("partitions_assigned")
    listening = {"TRIPTYCH_PRODUCE_HTTP_PORT": str(ports["producer"])}
    producer = stack.enter_context(installation.running("produce", "--feeds", str(feeds), **listening))
    watch = MemoryWatch({"triptych produce": producer.process.pid, "triptych work": worker.process.pid})
    with watch:
        breakers = _break_all(relays, producer, options)
        metrics = {f"{program}: metrics": status_response(port, "/metrics")[1] for program, port in ports.items()}
    done = [producer.stop(), worker.stop()]
    texts = {f"{one.args[0]}: {kind}": text for one in done for kind, text in (("out", one.out), ("err", one.err))}
    texts |= metrics
    breaks = [one for breaker in breakers for one in breaker.breaks]
    return Soak(installation, done[0], done[1], breaks, list(watch.found.values()), texts, (USER, PASSWORD))


def _open_relays(stack: ExitStack, folder: Path) -> dict[str, Relay]:
    """Start the servers of the feeds, each behind its own relay."""
    relays: dict[str, Relay] = {}
    for name in CAMERAS:
        port = stack.enter_context(serving(SYSTEM_PYTHON, str(HERE / "rtsp_server.py"), USER, PASSWORD))
        relays[name] = stack.enter_context(Relay(port))
    (folder / "hls").mkdir()
    port = stack.enter_context(serving(sys.executable, str(HERE / "hls_server.py"), str(folder / "hls")))
    relays[CHANNEL] = stack.enter_context(Relay(port))
    return relays


def _write_feeds(path: Path, relays: dict[str, Relay]) -> Path:
    urls = {name: f"rtsp://{USER}:{IN_URL}@127.0.0.1:{relays[name].port}/camera" for name in CAMERAS}
    urls[CHANNEL] = f"http://{USER}:{IN_URL}@127.0.0.1:{relays[CHANNEL].port}/channel.m3u8?token={IN_URL}"
    urls["film"] = str(files("triptych.samples").joinpath("librivox_city_15s.mkv"))
    entries = [f'[feeds.{name}]\nsource = "{url}"\n' + "loop = 0\n" * (name == "film") for name, url in urls.items()]
    path.write_text("\n".join(entries))
    return path


def _break_all(relays: dict[str, Relay], producer: Program, options: argparse.Namespace) -> list[Breaker]:
    """Break each connection several times, the connections one after another. Block until the duration is over."""
    done = threading.Event()
    began, length_s = time.monotonic(), options.minutes * 60
    step_s = max(0.0, length_s - UNDISTURBED_S - QUIET_END_S) / max(1, options.breaks)

    def losses(stream: str) -> int:
        return sum(event["stream"] == stream for event in producer.events("source_lost"))

    breakers, threads = [], []
    for number, (name, relay) in enumerate(relays.items()):
        breaker = Breaker(name, relay, losses, done)
        offset_s = UNDISTURBED_S + step_s * number / len(relays)
        threads.append(breaker.run([offset_s + step_s * at for at in range(options.breaks)]))
        breakers.append(breaker)
    for thread in threads:
        thread.join()
    while time.monotonic() - began < length_s and producer.is_running:
        time.sleep(0.5)
    done.set()
    return breakers


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MissingProgramError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
