"""A server that speaks the protocol of Redis, and gives every command the same error as its answer."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    answer = b""


class _Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        """Answer each command; commands are arrays of strings."""
        assert isinstance(self.server, _Server)
        while line := self.rfile.readline():
            for _ in range(int(line[1:])):
                self.rfile.read(int(self.rfile.readline()[1:]) + 2)
            self.wfile.write(self.server.answer)


@contextmanager
def answering(error: str) -> Iterator[str]:
    """Start a server whose only answer is `error`, such as `LOADING Redis is loading`. Yield its URL."""
    with _Server(("127.0.0.1", 0), _Connection) as server:
        server.answer = f"-{error}\r\n".encode()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        server.shutdown()
        thread.join()
