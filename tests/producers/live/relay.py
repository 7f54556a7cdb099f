"""A TCP relay in front of a server, which can cut, freeze, delay, slow or refuse connections."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_SMALL_BUFFER_BYTES: Final = 65_536


class Relay:
    """Relay bytes between the clients of `port` and a server on loopback. A context manager.

    `pace` is called with the number of bytes before they are relayed, and whether they go to the server. It may block.
    """

    def __init__(self, server_port: int, *, pace: Callable[[int, bool], None] | None = None) -> None:
        self._server_port = server_port
        self._pace = pace
        self._listener = socket.create_server(("127.0.0.1", 0))
        if pace is not None:  # what waits should wait at the sender, not in buffers of this machine
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
        self.port: int = self._listener.getsockname()[1]
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self.delay_s = 0.0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.accepted = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self._flowing.set()
        self.cut()

    def cut(self, *, reset: bool = False) -> None:
        """Close all connections, optionally with a TCP reset."""
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    connection.shutdown(socket.SHUT_RD)  # wakes the pump, which would keep the socket open
                else:
                    connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def freeze(self) -> None:
        """Relay nothing any more, but leave the connections open."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Relay again."""
        self._flowing.set()

    def refuse(self, *, on: bool) -> None:
        """Close new connections at once, or accept them again."""
        self._refusing = on

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                client.close()
                continue
            self.accepted += 1
            with self._lock:
                self._open |= {client, server}
            for source, sink, to_server in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, to_server), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, to_server: bool) -> None:  # noqa: FBT001 - of a thread
        with contextlib.suppress(OSError, ValueError):
            while content := source.recv(65_536):
                self._flowing.wait()
                if self.delay_s:
                    threading.Event().wait(self.delay_s)
                if self._pace is not None:
                    self._pace(len(content), to_server)
                sink.sendall(content)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
