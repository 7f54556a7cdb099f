"""A first signal asks, a second one ends, and afterwards all is as it was."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from triptych.signals import stop_on_signal


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_first_signal_sets_the_event_and_the_old_handler_comes_back(number: signal.Signals) -> None:
    """The program notices in its own time."""
    before = signal.getsignal(number)
    with stop_on_signal() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
    assert signal.getsignal(number) == before


def test_a_second_signal_exits_at_once() -> None:
    """Whatever the program is doing; the exit code is a shell's for that signal."""
    code = (
        "import signal\n"
        "from triptych.signals import stop_on_signal\n"
        "with stop_on_signal():\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, b"")
