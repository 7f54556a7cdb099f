"""A real HLS channel: a thread writes segments in real time, Python's own HTTP server serves them.

`hls_server.py FOLDER` prints its port, and serves `http://127.0.0.1:PORT/channel.m3u8` until it is killed.
"""

from __future__ import annotations

import sys
import threading
import time
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from av.container import OutputContainer

RATE = 10
AUDIO_RATE = 16_000


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files without logging requests."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log nothing."""


def play_live(container: OutputContainer, stop: threading.Event, *, rate: int = RATE) -> None:
    """Write a changing frame and a tone in real time, until `stop` is set."""
    video = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "g": str(rate), "bf": "0"})
    video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
    audio = container.add_stream("aac", rate=AUDIO_RATE, layout="mono")
    began, samples_written = time.monotonic(), 0
    for number in count():
        pixels = np.full((96, 160, 3), number * 5 % 250, np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, rate)
        container.mux(video.encode(frame))
        while samples_written < (number + 1) * AUDIO_RATE // rate:
            phase = np.arange(samples_written, samples_written + 1_024, dtype=np.float32) * np.float32(
                2 * np.pi * 440 / AUDIO_RATE
            )
            block = av.AudioFrame.from_ndarray(np.sin(phase)[None] / 4, format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = AUDIO_RATE, samples_written, Fraction(1, AUDIO_RATE)
            container.mux(audio.encode(block))
            samples_written += 1_024
        if stop.wait(max(0.0, began + (number + 1) / rate - time.monotonic())):
            return


def write_channel(folder: Path) -> None:
    """Write the channel in segments of one second."""
    options = {"hls_time": "1", "hls_list_size": "5", "hls_flags": "delete_segments"}
    with av.open(str(folder / "channel.m3u8"), "w", format="hls", options=options) as container:
        play_live(container, threading.Event())


def main(folder: str) -> None:
    """Serve until killed."""
    threading.Thread(target=write_channel, args=(Path(folder),), daemon=True).start()
    while not (Path(folder) / "channel.m3u8").exists():
        time.sleep(0.05)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    print(server.server_port, flush=True)  # noqa: T201 - what the test waits for
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
