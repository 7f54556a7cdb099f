"""Two minutes of chaos, as in `make chaos`: no loss, no differences, no duplicates.

CHAOS_SEED=7 CHAOS_MINUTES=1 pytest tests/e2e/test_chaos.py
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys

import pytest

from tests.servers import REQUIRED

SEED = os.environ.get("CHAOS_SEED", "2026")
MINUTES = os.environ.get("CHAOS_MINUTES", "2")
LIMIT_S = 900
FEWEST_FAULTS_A_MINUTE = 7
MISSING_PROGRAM = 2

_log = logging.getLogger(__name__)


@pytest.mark.timeout(LIMIT_S + 60)
def test_nothing_is_lost_or_delivered_twice_under_faults() -> None:
    """Two workers on three brokers and a Redis, all of them repeatedly stopped, killed, frozen and disconnected."""
    command = [sys.executable, "-m", "tests.chaos", "--minutes", MINUTES, "--seed", SEED]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode == MISSING_PROGRAM and not REQUIRED:
        pytest.skip(done.stderr)
    _log.info("%s", done.stdout)

    report, problem, problems = done.stdout.partition("PROBLEM: ")
    assert done.returncode == 0, f"{problem}{problems}\n{done.stderr}\n{report}"
    faults = re.search(r"faults +│ +(\d+);", done.stdout)
    assert faults is not None
    assert int(faults[1]) >= FEWEST_FAULTS_A_MINUTE * float(MINUTES)
