"""Graceful stop, immediate exit and reload by signal."""

from __future__ import annotations

import signal
import subprocess
import sys
from threading import Event

import pytest

from triptych.service.signals import ReloadSignal, reload_on_hangup, stop_on_signal


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_sets_the_event_and_the_previous_handler_is_restored(number: signal.Signals) -> None:
    """The handler only sets the event; the program stops when it checks it."""
    before = signal.getsignal(number)
    with stop_on_signal() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
    assert signal.getsignal(number) == before


def test_the_second_signal_exits_at_once() -> None:
    """With the exit code that a shell reports for the signal."""
    code = (
        "import signal\n"
        "from triptych.service.signals import stop_on_signal\n"
        "with stop_on_signal():\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=280)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, b"")


def test_several_sends_count_as_one() -> None:
    """A second wait blocks until its limit."""
    reload_signal = ReloadSignal()
    assert not reload_signal.wait(0)
    reload_signal.send()
    reload_signal.send()
    assert reload_signal.wait(None)
    assert not reload_signal.wait(0.001)


def test_a_hangup_reloads_and_does_not_stop_the_program() -> None:
    """The previous handler is restored on exit."""
    before, stop = signal.getsignal(signal.SIGHUP), Event()
    with reload_on_hangup(stop) as reload_signal:
        signal.raise_signal(signal.SIGHUP)
        assert reload_signal.wait(0)
    assert not stop.is_set()
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_hangup_stops_a_program_whose_terminal_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default action of SIGHUP is to exit; here the program stops gracefully."""
    on_terminal = iter([True, True, False])
    stop = Event()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: next(on_terminal))
    with reload_on_hangup(stop) as reload_signal:
        signal.raise_signal(signal.SIGHUP)
        assert reload_signal.wait(0)
        assert not stop.is_set()
        signal.raise_signal(signal.SIGHUP)
        assert stop.is_set()
