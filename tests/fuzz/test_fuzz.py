"""Decoders and codecs on damaged inputs: no crash, and memory and time within their limits.

Each target runs in its own process. `TRIPTYCH_FUZZ_INPUTS=1000000 TRIPTYCH_FUZZ_SEED=7` searches longer and elsewhere.
Inputs that reveal a bug are added to `tests/data/corpus`.
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
"""Other memory of a decoder: tables, rows, the record itself, and what the allocator retains."""


def run_target(target: str, folder: Path) -> dict[str, float]:
    """Run a target. Return its statistics."""
    current_input = folder / "input"
    command = [sys.executable, "-m", "tests.fuzz.program", target, SEED, INPUTS, str(current_input)]
    environ = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        kept = current_input.read_bytes() if current_input.exists() else b""
        pytest.fail(f"{target}: exit code {done.returncode} on {len(kept)} bytes {kept[:400]!r}\n{done.stderr[-2000:]}")
    statistics: dict[str, float] = json.loads(done.stdout)
    return statistics


@pytest.mark.parametrize(
    ("target", "max_bytes"),
    [
        ("pictures", FEWER * BYTES_OF_A_PIXEL + WORKSPACE),
        ("sounds", FEWER * BYTES_OF_A_VALUE + WORKSPACE),
        ("messages", WORKSPACE),
    ],
)
def test_damaged_input_is_accepted_or_rejected_within_limits(target: str, max_bytes: int, tmp_path: Path) -> None:
    """Some inputs are still valid: the damage reaches the code behind the headers."""
    statistics = run_target(target, tmp_path)

    assert statistics["inputs"] >= int(INPUTS)
    assert 0.05 * statistics["inputs"] < statistics["used"] < 0.95 * statistics["inputs"]
    assert statistics["slowest_s"] < 1
    assert statistics["grown_bytes"] < max_bytes


@pytest.mark.parametrize(
    ("target", "max_bytes"),
    [
        ("largest_picture", MAX_PIXELS * BYTES_OF_A_PIXEL + WORKSPACE),
        ("largest_sound", MAX_VALUES * BYTES_OF_A_VALUE + WORKSPACE),
    ],
)
def test_the_largest_valid_input_needs_as_much_memory_as_documented(
    target: str, max_bytes: int, tmp_path: Path
) -> None:
    """It is decoded, not rejected."""
    statistics = run_target(target, tmp_path)

    assert statistics["used"] == 1
    assert 0.5 * max_bytes < statistics["grown_bytes"] < max_bytes
