"""The link of a producer: bandwidth, loss and cuts."""

from __future__ import annotations

import random
import socket
import threading
import time

from tests.chaos.link import Link

SECONDS = 0.6
RATE = 100_000


class Sink:
    """A server that counts what it receives."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.received = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(peer,), daemon=True).start()

    def _read(self, peer: socket.socket) -> None:
        try:
            while content := peer.recv(65_536):
                self.received += len(content)
        except OSError:
            return


def _fill(port: int, size_bytes: int) -> threading.Thread:
    """Send bytes on a thread, until the connection ends."""
    peer = socket.create_connection(("127.0.0.1", port))

    def send() -> None:
        try:
            peer.sendall(bytes(size_bytes))
        except OSError:
            return

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def _ends(peer: socket.socket) -> bool:
    """Wait for the end of a connection, in one of the two ways."""
    peer.settimeout(5)
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_slowed_link_relays_no_more_than_its_bandwidth_over_all_its_relays() -> None:
    """The relays share it; afterwards the rest goes at once."""
    sinks = [Sink(), Sink()]
    with Link([sink.port for sink in sinks], seed=1) as link:
        slowed = threading.Thread(target=link.slow, args=(RATE, SECONDS))
        slowed.start()
        time.sleep(0.05)
        senders = [_fill(relay.port, 400_000) for relay in link.relays]
        time.sleep(SECONDS / 2)
        slow_bytes = link.sent_bytes
        slowed.join()
        for sender in senders:
            sender.join(5)
        deadline_s = time.monotonic() + 5
        while link.sent_bytes < 800_000 and time.monotonic() < deadline_s:
            time.sleep(0.01)

        assert slow_bytes <= RATE * SECONDS
        assert link.sent_bytes == 800_000


def test_a_cut_link_refuses_connections_until_it_is_repaired() -> None:
    """Open connections end."""
    sink = Sink()
    with Link([sink.port], seed=1) as link:
        port = link.relays[0].port
        open_before = socket.create_connection(("127.0.0.1", port))
        open_before.sendall(b"x")
        while not link.sent_bytes:
            time.sleep(0.01)
        cut = threading.Thread(target=link.cut, args=(SECONDS,))
        cut.start()
        assert _ends(open_before)
        assert _ends(socket.create_connection(("127.0.0.1", port)))
        cut.join()
        _fill(port, 10).join(5)


def test_a_link_that_loses_packets_stalls_and_resets() -> None:
    """In the end nothing is stalled any more."""
    sink = Sink()
    with Link([sink.port], seed=3) as link:
        port = link.relays[0].port
        peer = socket.create_connection(("127.0.0.1", port))
        lossy = threading.Thread(target=link.lose_packets, args=(SECONDS, random.Random(1)))  # noqa: S311 - reproducible, not secret
        lossy.start()
        assert _ends(peer)
        lossy.join()
        before = link.sent_bytes
        _fill(port, 1_000).join(5)
        deadline_s = time.monotonic() + 5
        while link.sent_bytes < before + 1_000 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert link.sent_bytes >= before + 1_000
