"""Each extra works alone: installed from the wheel in an environment of its own, every module it serves is imported."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")

IMPORT_ALL = """
import importlib, importlib.util, json, pkgutil, sys
failed, count = {}, 0
for name in sys.argv[1].split(","):
    package = importlib.import_module(name)
    modules = [m.name for m in pkgutil.walk_packages(getattr(package, "__path__", []), name + ".")]
    for module in modules:
        if module.startswith(tuple(filter(None, sys.argv[3].split(",")))):
            continue
        count += 1
        try:
            importlib.import_module(module)
        except Exception as error:
            failed[module] = repr(error)
present = [name for name in sys.argv[2].split(",") if importlib.util.find_spec(name)]
training = [name for name in sys.modules if name.startswith(("triptych.training", "triptych.explaining"))]
print(json.dumps({"count": count, "failed": failed, "present": present, "training": training}))
"""

NEVER_SERVED = ("captum", "matplotlib", "tensorboard", "torchao")
OF_OTHER_CONSUMERS = (
    "triptych.consumers.page.",
    "triptych.consumers.recommending.",
    "triptych.consumers.searching.",
    "triptych.consumers.asking.",
)
TRAIN_ONLY = (*NEVER_SERVED, "sklearn")


@dataclass(frozen=True)
class ExtraCase:
    """The packages of ours that an extra serves, those within them that it does not, and what it must not bring."""

    packages: tuple[str, ...]
    absent: tuple[str, ...]
    left_out: tuple[str, ...] = ()


CASES = {
    "": ExtraCase(("triptych.schemas", "triptych.settings"), ("torch", "av", "numpy", "redis", "prometheus_client")),
    "consumers": ExtraCase(
        ("triptych.consumers",),
        ("torch", "av", "numpy", "cv2", "prometheus_client"),
        left_out=("triptych.consumers.describing.", *OF_OTHER_CONSUMERS),
    ),
    "describe": ExtraCase(("triptych.consumers",), ("torch", "av", "numpy", "cv2"), left_out=OF_OTHER_CONSUMERS),
    "mqtt": ExtraCase(("triptych.consumers.alerts",), ("torch", "av", "numpy", "cv2")),
    "page": ExtraCase(("triptych.consumers.page",), ("torch", "cv2", "lancedb")),
    "index": ExtraCase(
        ("triptych.consumers.searching",),
        ("torch", "av", "cv2", "starlette", "pyoxigraph"),
        left_out=("triptych.consumers.searching.graph.", "triptych.consumers.searching.postgres"),
    ),
    "ask": ExtraCase(
        ("triptych.consumers.searching", "triptych.consumers.asking"),
        ("torch", "av", "cv2", "starlette", "psycopg"),
        left_out=("triptych.consumers.searching.postgres",),
    ),
    "postgres": ExtraCase(
        ("triptych.consumers.searching",),
        ("torch", "av", "cv2", "starlette", "lancedb", "pyarrow"),
        left_out=(
            "triptych.consumers.searching.graph.",
            "triptych.consumers.searching.chosen_rows",
            "triptych.consumers.searching.lance_queries",
            "triptych.consumers.searching.stream_names",
            "triptych.consumers.searching.window_index",
        ),
    ),
    "recommend": ExtraCase(("triptych.consumers.recommending",), ("torch", "av", "cv2", "starlette")),
    "export": ExtraCase(("triptych.consumers.exporting",), ("torch", "av", "cv2", "lancedb")),
    "producers": ExtraCase(("triptych.producers",), ("torch", "redis", "faster_whisper")),
    "transcribe": ExtraCase(("triptych.producers",), ("torch", "redis")),
    "worker": ExtraCase(("triptych.worker", "triptych.models"), (*TRAIN_ONLY, "faster_whisper")),
    # sentence-transformers brings scikit-learn
    "foundation": ExtraCase(("triptych.worker", "triptych.models"), (*NEVER_SERVED, "faster_whisper")),
    "train": ExtraCase(
        ("triptych.training", "triptych.explaining"),
        ("torchao", "faster_whisper"),
        left_out=("triptych.training.recommending.",),
    ),
    "compress": ExtraCase(("triptych.training.compression",), ("faster_whisper",)),
}


@pytest.fixture(scope="module")
def workplace() -> Iterator[Path]:
    """Return a folder on the file system of the package cache, so that packages are linked and not copied."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="triptych-extras.", dir=cache))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def wheel(workplace: Path) -> Path:
    """Build the wheel from the working tree."""
    command = [UV, "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", workplace / "wheel"]
    environ = os.environ | {"TRIPTYCH_BUILD_WITHOUT_PAGE": "1"}  # npm takes longer than the rest
    subprocess.run([*command, REPOSITORY], check=True, env=environ)
    (wheel,) = (workplace / "wheel").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def constraints(workplace: Path) -> Path:
    """Pin the versions of this environment: they are in the cache, so nothing is downloaded."""
    command = [UV, "pip", "freeze", "--quiet", "--exclude-editable", "--python", sys.executable]
    frozen = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (workplace / "constraints.txt").write_text(frozen, encoding="utf-8")
    return workplace / "constraints.txt"


def _clean_environment() -> dict[str, str]:
    """Return the environment without what makes Python find the working tree."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=_clean_environment(), cwd=tempfile.gettempdir()
    )


def _install(folder: Path, wheel: Path, extra: str, constraints: Path) -> Path:
    """Install the wheel with one extra in a new virtual environment; return its folder of programs."""
    made = _run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    assert made.returncode == 0, made.stderr
    requirement = f"triptych[{extra}] @ {wheel.as_uri()}" if extra else f"triptych @ {wheel.as_uri()}"
    python = folder / "bin" / "python"
    command = [UV, "pip", "install", "--quiet", "--python", python, "--constraint", constraints, requirement]
    installed = _run(*command)
    assert installed.returncode == 0, installed.stderr
    return folder / "bin"


@pytest.fixture(scope="module")
def install(workplace: Path, wheel: Path, constraints: Path) -> Callable[[str], Path]:
    """Return a function that gives the folder of programs of an environment with one extra, made on first use."""
    made: dict[str, Path] = {}

    def programs(extra: str) -> Path:
        if extra not in made:
            made[extra] = _install(workplace / (extra or "none"), wheel, extra, constraints)
        return made[extra]

    return programs


@pytest.mark.timeout(300)
@pytest.mark.parametrize("extra", CASES, ids=lambda extra: extra or "none")
def test_an_extra_alone_serves_every_module_of_its_program(install: Callable[[str], Path], extra: str) -> None:
    """Import every module; nothing that only another extra needs is present or asked for."""
    case = CASES[extra]

    done = _run(
        install(extra) / "python",
        "-c",
        IMPORT_ALL,
        ",".join(case.packages),
        ",".join(case.absent),
        ",".join(case.left_out),
    )

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["count"] > 0
    assert report["failed"] == {}
    assert report["present"] == []
    if extra not in {"train", "compress"}:
        assert report["training"] == []


@pytest.mark.parametrize("command", ["", "work", "produce", "watch", "train", "topics"], ids=lambda name: name or "all")
def test_the_command_explains_itself_without_any_extra(install: Callable[[str], Path], command: str) -> None:
    """`--help` of the program and of every sub-command imports nothing that an extra brings."""
    done = _run(install("") / "triptych", *command.split(), "--help")

    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_the_public_names_of_the_consumers_need_their_extra_only(install: Callable[[str], Path]) -> None:
    """The import of the tutorial works where only the extra `consumers` is installed."""
    program = "from triptych.consumers import AsyncSubscriber, Result, Rule, Subscriber"

    done = _run(install("consumers") / "python", "-c", program)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_drops_the_training_code_and_still_works(install: Callable[[str], Path]) -> None:
    """Delete what the Dockerfile deletes: the worker, its command and its models need none of it."""
    programs = install("worker")
    (packages,) = (programs.parent / "lib").glob("python*/site-packages")
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    deleted = re.search(r"^RUN rm -r (.+?) \\$", dockerfile, re.MULTILINE)
    assert deleted is not None
    assert deleted[1].split() == ["triptych/training", "triptych/explaining"]
    for name in ("training", "explaining"):
        shutil.rmtree(packages / "triptych" / name)

    wiring = _run(programs / "python", "-c", "import triptych.worker.wiring, triptych.models.trained")
    assert (wiring.returncode, wiring.stderr) == (0, "")
    shown = _run(programs / "triptych", "--help")
    assert shown.returncode == 0, shown.stderr
    assert " work " in shown.stdout
    assert " train " not in shown.stdout
    models = _run(programs / "triptych", "models", "list")
    assert models.returncode == 0, models.stderr
