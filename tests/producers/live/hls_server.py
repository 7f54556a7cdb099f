"""A real HLS channel: a thread writes segments in real time, Python's own HTTP server serves them.

`hls_server.py FOLDER` prints its port, and serves `http://127.0.0.1:PORT/channel.m3u8` until it is killed, and
`/master.m3u8` with subtitles: a cue at every second, whose text is that second. While there is a file `mute`, the
playlists of the subtitles are missing.
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


MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="Deutsch",LANGUAGE="de",URI="words/de.m3u8?t=Geheim-7391"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",DEFAULT=YES,LANGUAGE="en",URI="words/en.m3u8?t=Geheim-7391"
#EXT-X-STREAM-INF:BANDWIDTH=420757,RESOLUTION=160x96,SUBTITLES="subs"
channel.m3u8
"""


def _newest_segment(folder: Path) -> int:
    """Return the number of the newest segment of the video; -1 without any. Old ones are deleted."""
    return max((int(file.stem.removeprefix("channel")) for file in folder.glob("channel[0-9]*.ts")), default=-1)


def write_words(folder: Path, stop: threading.Event) -> None:
    """Write a segment of subtitles for each second of the channel, a little after the video, in a sliding window."""
    (folder / "words").mkdir(exist_ok=True)
    (folder / "master.m3u8").write_text(MASTER)
    for number in count():
        while not stop.is_set() and _newest_segment(folder) <= number:
            time.sleep(0.05)
        if stop.wait(0.3):
            return
        while (folder / "mute").exists():
            for language in ("en", "de"):
                (folder / "words" / f"{language}.m3u8").unlink(missing_ok=True)
            time.sleep(0.05)
        for language in ("en", "de"):
            name = f"{language}{number}.vtt"
            (folder / "words" / name).write_text(
                "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:01:40.000,MPEGTS:900000\n\n"
                f"{_vtt(number - 10)} --> {_vtt(number - 9.4)}\n{language} {number}\n"
            )
            first = max(0, number - 4)
            lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
            lines += [f"#EXTINF:1.0,\n{language}{each}.vtt" for each in range(first, number + 1)]
            playlist = folder / "words" / f"{language}.tmp"
            playlist.write_text("\n".join(lines) + "\n")
            playlist.replace(folder / "words" / f"{language}.m3u8")


def _vtt(second: float) -> str:
    """Return a time in a segment. The clock of the transport stream is ten seconds ahead, so zero is 100 s here."""
    return f"00:{(second + 100) // 60:02.0f}:{(second + 100) % 60:06.3f}"


def main(folder: str) -> None:
    """Serve until killed."""
    threading.Thread(target=write_channel, args=(Path(folder),), daemon=True).start()
    threading.Thread(target=write_words, args=(Path(folder), threading.Event()), daemon=True).start()
    while not (Path(folder) / "channel.m3u8").exists():
        time.sleep(0.05)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    print(server.server_port, flush=True)  # noqa: T201 - what the test waits for
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
