"""A first signal asks, a second one ends, and afterwards all is as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from threading import Event

import pytest

from triptych.service.signals import ReloadSignal, bell_on_hangup, stop_on_signal


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
        "from triptych.service.signals import stop_on_signal\n"
        "with stop_on_signal():\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, b"")


def test_a_bell_is_heard_once_however_often_it_was_rung() -> None:
    """And not again; without a ring the limit is kept."""
    reload_signal = ReloadSignal()
    assert not reload_signal.wait(0)
    reload_signal.ring()
    reload_signal.ring()
    assert reload_signal.wait(None)
    assert not reload_signal.wait(0.001)


def test_a_hangup_rings_the_bell_and_stops_nothing() -> None:
    """The old handler comes back."""
    before, stop = signal.getsignal(signal.SIGHUP), Event()
    with bell_on_hangup(stop) as reload_signal:
        signal.raise_signal(signal.SIGHUP)
        assert reload_signal.wait(0)
    assert not stop.is_set()
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_hangup_stops_a_program_whose_terminal_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would see it any more: as without this handler, it ends, but in an orderly way."""
    on_terminal = iter([True, True, False])
    stop = Event()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: next(on_terminal))
    with bell_on_hangup(stop) as reload_signal:
        signal.raise_signal(signal.SIGHUP)
        assert reload_signal.wait(0)
        assert not stop.is_set()
        signal.raise_signal(signal.SIGHUP)
        assert stop.is_set()
