"""Transport streams without an end: over UDP, and over HTTP without a content length."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

import av
from structlog.testing import capture_logs

from tests.producers.live.conftest import Playing, wait_until
from tests.producers.live.hls_server import QuietHandler, play_live
from tests.producers.live.relay import Relay
from tests.producers.live.test_broken_connections import check_gaps, check_sessions, losses

Watch = Callable[..., Playing]
RATE = 25  # FFmpeg probes a number of frames before it plays: at 10 per second that takes more than twice as long


@contextmanager
def sending(port: int) -> Iterator[None]:
    """Send a programme to this UDP port. Its timestamps start again each time."""
    stop = threading.Event()

    def send() -> None:
        with av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as container:
            play_live(container, stop, rate=RATE)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_silent_udp_stream_is_lost_and_opened_again(watch: Watch) -> None:
    """There is no connection to lose: the feed is lost when nothing arrives."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with capture_logs() as logs:
        playing = watch(f"udp://127.0.0.1:{port}")
        with sending(port):
            playing.wait_for_media(1, 6)
        wait_until(lambda: len(losses(logs)) == 1, "the loss of the silent stream")
        with sending(port):
            playing.wait_for_media(2, 6)
            playing.stop.set()
            playing.wait_until_over()

    sessions = playing.sessions()
    assert len(sessions) == 2
    check_sessions(sessions)
    check_gaps(logs, sessions)
    assert [outcome.exit_code for outcome in playing.outcomes] == [0]


class EndlessHandler(QuietHandler):
    """Answer every request with an endless programme."""

    def do_GET(self) -> None:  # noqa: N802 - the base class looks for this name
        """Send no length, and never end."""
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        with contextlib.suppress(OSError, av.error.FFmpegError), av.open(self.wfile, "w", format="mpegts") as container:
            play_live(container, threading.Event(), rate=RATE)


def test_a_stream_over_http_is_cut_and_opened_again(watch: Watch) -> None:
    """A stream without a length is live, and its end counts as a loss."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EndlessHandler) as server, Relay(server.server_port) as relay:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with capture_logs() as logs:
            playing = watch(f"http://127.0.0.1:{relay.port}/live.ts")
            playing.wait_for_media(1, 6)
            relay.cut()
            playing.wait_for_media(2, 6)
            playing.stop.set()
            playing.wait_until_over()
        relay.cut()
        server.shutdown()

    sessions = playing.sessions()
    assert len(sessions) == 2
    check_sessions(sessions)
    check_gaps(logs, sessions)
