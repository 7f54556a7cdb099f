"""The Compose file as it stands: results, rights, limits, ports and weights."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import av

from tests.containers.engine import (
    PROJECT,
    REPOSITORY,
    SAMPLE,
    VERSION,
    CheckFailedError,
    Engine,
    expect,
    get,
    require,
    wait_until,
)

USER: Final = "10001"
SERVICES: Final = ("kafka", "redis", "worker", "producer")
SAMPLES: Final = REPOSITORY / "app" / "triptych" / "samples"
SPEECH_MODEL: Final = "whisper-tiny.en"
SPOKEN_WORD: Final = "selfish"
"""A word of the subtitles of the sample clip."""
SPOKEN_WINDOWS: Final = 7
"""The sample clip has 15 s of speech, and a window 2 s."""


def config(engine: Engine) -> str:
    """Compose accepts its files, also with the one for GPUs laid over the other, and reserves the GPUs."""
    engine.compose("config")
    text = engine.compose("--file", "docker-compose.yml", "--file", "docker-compose.gpu.yml", "config")
    for part in ("driver: nvidia", "TRIPTYCH_MODEL_DEVICE: cuda", "NVIDIA_VISIBLE_DEVICES: all"):
        require(part in text, f"{part} with docker-compose.gpu.yml")
    return "with and without GPUs"


def start(engine: Engine) -> str:
    """Start the Compose file as it stands, and wait until all services are healthy."""
    engine.compose("up", "-d", "--no-build")
    (topics,) = engine.containers("topics")
    expect(topics["State"]["ExitCode"], 0, "exit code of topics")
    return engine.wait_healthy(*SERVICES)


def watch(engine: Engine) -> str:
    """Read results of the sample clip by `docker compose run --rm worker watch`."""
    engine.wait_for_results(2, "the start")
    results = engine.results()
    expect({result["stream"] for result in results}, {"city"}, "streams")
    require(results[-1]["observations"], "observations")
    return f"{len(results)} results"


def page(engine: Engine) -> str:
    """The profile `page` serves the page, its feeds, and a search in the index that it keeps."""
    engine.compose("--profile", "page", "up", "-d", "--no-build", "index", "page")
    told = engine.wait_healthy("index", "page")
    (container,) = engine.running("page")
    port = "8780/tcp"
    require("<script" in get(container, port, "/"), "the page at the published port")
    feeds = json.loads(get(container, port, "/api/wall"))["feeds"]
    expect([feed["feed"] for feed in feeds], [SAMPLE], "feeds on the wall")
    found: list[dict[str, Any]] = []

    def is_found() -> bool:
        found[:] = json.loads(get(container, port, f"/api/search?text={SPOKEN_WORD}"))["moments"]
        return bool(found)

    wait_until(is_found, f"a moment with the word {SPOKEN_WORD!r}")
    expect({moment["feed"] for moment in found}, {SAMPLE}, "feeds of the moments")
    engine.compose("--profile", "page", "rm", "--stop", "--force", "index", "page")
    return f"{told}; {len(found)} moments with {SPOKEN_WORD!r}"


def rights(engine: Engine) -> str:
    """No rights beyond what the programs need."""
    for service in ("worker", "producer"):
        (container,) = engine.running(service)
        host, name = container["HostConfig"], str(container["Id"])
        require(host["ReadonlyRootfs"], f"{service}: read-only file system")
        expect([capability.upper() for capability in host["CapDrop"]], ["ALL"], f"{service}: dropped capabilities")
        require(host["Memory"] > 0, f"{service}: memory limit")
        status = engine.docker("exec", name, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        expect(fields["Uid"].split()[0], USER, f"{service}: user")
        expect(int(fields["CapEff"], 16), 0, f"{service}: capabilities in effect")
        expect(fields["NoNewPrivs"], "1", f"{service}: no new privileges")
        program = "import pathlib; pathlib.Path('/opt/triptych/new').touch()"
        try:
            engine.docker("exec", name, "python", "-c", program)
        except CheckFailedError as error:
            require("Read-only file system" in str(error), f"{service}: a write fails")
        else:
            raise CheckFailedError(f"{service}: a file was written in the image")
    return "read-only, no capabilities, user 10001, memory limits"


def memory(engine: Engine) -> str:
    """The worker reads its limit, and lowers its buffers where the limit is low."""
    (container,) = engine.running("worker")
    entry = _memory_entry(engine, str(container["Id"]))
    expect(entry["limit_mib"], container["HostConfig"]["Memory"] // 2**20, "the limit that the worker has read")
    limit_mib = entry["used_mib"] + 300
    engine.compose("run", "--rm", "-T", "topics", "topics", "create", "--pipeline", "small")
    limits = ("--memory", f"{limit_mib}m", "--memory-swap", f"{limit_mib}m", "--network", f"{PROJECT}_default")
    variables = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:19092", "REDIS_URL": "redis://redis:6379/0", "LOG_FORMAT": "json"}
    environment = [f"--env=TRIPTYCH_{name}={value}" for name, value in variables.items()]
    image = f"triptych-worker:{VERSION}"
    name = engine.docker("run", "--detach", *limits, *environment, image, "work", "--pipeline", "small").strip()
    try:
        small = _memory_entry(engine, name)
    finally:
        engine.docker("rm", "--force", name)
    expect(small["limit_mib"], limit_mib, "the lower limit that a worker has read")
    require(small["lowered"], "buffers lowered below the lower limit")
    return (
        f"limit {entry['limit_mib']} MiB, used {entry['used_mib']}, for each partition {entry['partition_max_mib']}; "
        f"with a limit of {limit_mib} MiB lowered to {small['partition_max_mib']}"
    )


def _memory_entry(engine: Engine, container: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def is_logged() -> bool:
        logs = engine.logs(container)
        found[:] = [entry for entry in logs if entry["event"].startswith("memory_limit")]
        is_running = engine.inspect(container)["State"]["Running"]
        require(found or is_running, f"a worker that goes on; it ended: {logs}")
        return bool(found)

    wait_until(is_logged, "a log entry memory_limit")
    return found[0]


def ports(engine: Engine) -> str:
    """Metrics and health are served at the published port, which may be any of the range."""
    for container in engine.running("worker"):
        require("triptych_" in get(container, "9464/tcp", "/metrics"), "metrics at the published port")
        for path in ("/healthz", "/readyz"):
            get(container, "9464/tcp", path)
    return f"{len(engine.running('worker'))} worker: /metrics, /healthz, /readyz"


def device(engine: Engine) -> str:
    """The worker says on which device it runs, and ends with the reason where a GPU is asked for and not there."""
    (container,) = engine.running("worker")
    entries = [entry for entry in engine.logs(str(container["Id"])) if entry["event"] == "device_chosen"]
    require(entries, "a log entry device_chosen")
    if "gpu" in entries[0]:
        return str(entries[0]["gpu"])
    try:
        engine.compose("run", "--rm", "-T", "worker", "work", "--device", "cuda")
    except CheckFailedError as error:
        require("exit code 2" in str(error) and entries[0]["why_no_gpu"] in str(error), f"why there is no GPU: {error}")
    else:
        raise CheckFailedError("a worker without the GPU that was asked for: expected exit code 2, got 0")
    return f"{entries[0]['device']}: {entries[0]['why_no_gpu']}"


def healthcheck(engine: Engine) -> str:
    """The health check of the producer costs next to nothing."""
    (container,) = engine.running("producer")
    program = (
        "import resource, subprocess, sys; subprocess.run([sys.executable, '-m', 'triptych.service.probe', "
        "'produce_http'], check=True); used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(used.ru_utime + used.ru_stime)"
    )
    used_s = float(engine.docker("exec", str(container["Id"]), "python", "-c", program))
    require(used_s < 0.3, f"CPU time of a check, {used_s:.2f} s, below 0.3 s")
    return f"{used_s * 1_000:.0f} ms of CPU"


def weights(engine: Engine, network: str | None) -> str:
    """A service uses the weights that `docker compose run --rm models pull` has downloaded, without a network."""
    override: dict[str, Any] = {"services": {"models": {}}}
    if network is not None:  # where registries are reached from the machine's network only
        override["services"]["models"]["network_mode"] = network
    variables = [name for name in os.environ if name in {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"}]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.json"
        file.write_text(json.dumps(override), encoding="utf-8")
        files = ("--file", "docker-compose.yml", "--file", str(file))
        engine.compose(
            *files, "run", "--rm", "-T", *(f"-e{name}" for name in variables), "models", "pull", SPEECH_MODEL
        )
    listed = engine.compose("run", "--rm", "-T", "models", "list")
    require(
        any(SPEECH_MODEL in line and "yes" in line for line in listed.splitlines()), f"{SPEECH_MODEL} in the volume"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        _copy_speech(SAMPLES / "librivox_city_15s.mkv", Path(folder) / "speech.mka")
        arguments = ("/speech/speech.mka", "--stream", "spoken", "--transcribe", SPEECH_MODEL)
        engine.compose("run", "--rm", "-T", f"-v{folder}:/speech:ro", "producer", "produce", *arguments)
    wait_until(lambda: engine.count("spoken") >= SPOKEN_WINDOWS, "results of transcribed speech")
    used = sum(result["modalities"]["subtitles"]["used"] for result in engine.results("spoken"))
    require(used, "windows with transcribed words")
    return f"{SPEECH_MODEL} pulled into the volume; {used} windows with words that a producer transcribed with it"


def _copy_speech(clip: Path, target: Path) -> None:
    """Copy the audio of a clip alone: a source with subtitles is not transcribed."""
    with av.open(str(clip)) as source, av.open(str(target), "w", format="matroska") as copy:
        audio = source.streams.audio[0]
        written = copy.add_stream_from_template(audio)
        for packet in source.demux(audio):
            if packet.dts is not None:
                packet.stream = written
                copy.mux(packet)
