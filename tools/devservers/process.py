"""One server process: started in its own session, polled until ready, stopped by its process id."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

POLL_S = 0.05
LOG_TAIL_CHARS = 3000


class ServerProcess:
    """A child process whose output goes to a file."""

    def __init__(self, name: str, args: Sequence[str], *, folder: Path) -> None:
        self._name = name
        self._args = list(args)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.log_path = folder / f"{name}.log"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether the process runs (or is frozen)."""
        return self._process is not None and self._process.poll() is None

    def start(self, ready: Callable[[], bool], *, limit_s: float) -> None:
        """Start the process, and wait until `ready` returns true.

        Raises:
            RuntimeError: it was not ready within the limit; it is killed, and the message has the end of its log.
        """
        with self.log_path.open("ab") as log:
            # In its own session, so that Ctrl-C in the terminal does not stop the server before our programs.
            self._process = subprocess.Popen(
                self._args,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and self.alive:
            if ready():
                return
            time.sleep(POLL_S)
        what = "was not ready in time" if self.alive else "ended at once"
        self.kill()
        tail = self.log_path.read_text(errors="replace")[-LOG_TAIL_CHARS:]
        raise RuntimeError(f"{self._name} {what} (limit {limit_s:g} s); the end of {self.log_path}:\n{tail}")

    def stop(self, *, limit_s: float = 15) -> None:
        """Stop the process cleanly, or kill it after the limit. Do nothing if it has ended."""
        if self._process is None:
            return
        if self.alive:
            self.thaw()  # a frozen process does not handle SIGTERM
            self._process.terminate()
            try:
                self._process.wait(limit_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Kill the process, as in a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Suspend the process: its connections stay open, and when this returns nothing answers."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        # On a busy machine its threads may run for a while; wait until the last one has stopped.
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Resume a suspended process."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self._name} does not run")
        return self._process
