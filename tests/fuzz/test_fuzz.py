"""Foreign bytes, damaged as a seeded chance likes: never a crash, never more memory or time than said.

Each target runs in a process of its own. `TRIPTYCH_FUZZ_INPUTS=1000000 TRIPTYCH_FUZZ_SEED=7` looks for longer, and
elsewhere. What is found goes to `tests/data/corpus`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.program import FEWER
from triptych.worker.media.audio import MAX_VALUES
from triptych.worker.media.picture import MAX_PIXELS

ROOT = Path(__file__).parents[2]
INPUTS = os.environ.get("TRIPTYCH_FUZZ_INPUTS", "2000")
SEED = os.environ.get("TRIPTYCH_FUZZ_SEED", "1")
MB = 1_000_000
BYTES_OF_A_PIXEL = 6
BYTES_OF_A_VALUE = 40
WORKSPACE = 24 * MB
"""What a decoder has besides: tables, rows, the record itself, and what the allocator keeps."""


def outcome(target: str, folder: Path) -> dict[str, float]:
    """Run a target; return what became of its inputs."""
    at_work = folder / "input"
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz.program", target, SEED, INPUTS, str(at_work)]
    environ = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        kept = at_work.read_bytes() if at_work.exists() else b""
        pytest.fail(f"{target}: exit code {done.returncode} on {len(kept)} bytes {kept[:400]!r}\n{done.stderr[-2000:]}")
    said: dict[str, float] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize(
    ("target", "most_bytes"),
    [
        ("pictures", FEWER * BYTES_OF_A_PIXEL + WORKSPACE),
        ("sounds", FEWER * BYTES_OF_A_VALUE + WORKSPACE),
        ("messages", WORKSPACE),
    ],
)
def test_damaged_input_is_used_or_refused_within_its_bounds(target: str, most_bytes: int, tmp_path: Path) -> None:
    """Some of it is still good, so the damage reaches what lies behind the headers."""
    said = outcome(target, tmp_path)

    assert said["inputs"] >= int(INPUTS)
    assert 0.05 * said["inputs"] < said["used"] < 0.95 * said["inputs"]
    assert said["slowest_s"] < 1
    assert said["grown_bytes"] < most_bytes


@pytest.mark.parametrize(
    ("target", "most_bytes"),
    [
        ("largest_picture", MAX_PIXELS * BYTES_OF_A_PIXEL + WORKSPACE),
        ("largest_sound", MAX_VALUES * BYTES_OF_A_VALUE + WORKSPACE),
    ],
)
def test_the_largest_that_is_taken_costs_what_the_bound_says(target: str, most_bytes: int, tmp_path: Path) -> None:
    """Decoded, not refused; in each thread that prepares windows."""
    said = outcome(target, tmp_path)

    assert said["used"] == 1
    assert 0.5 * most_bytes < said["grown_bytes"] < most_bytes
