"""The throughput of the worker compared with that of decoding alone: `python -m benchmarks.worker [streams] [seconds]`.

The limit is the time to decode the frames that the model sees, and all audio, on the same number of threads. The worker
runs with the memory transport, the null model and a store in memory. The additional time is that of alignment,
batching and encoding of results.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.worker.world import Feed, World
from triptych.models.model import InputSpec
from triptych.schemas.codec import encode
from triptych.schemas.names import TOPIC_OF
from triptych.schemas.records import AudioChunk, InputRecord, VideoFrame
from triptych.transport.records import Message
from triptych.worker.media.audio import decode_audio
from triptych.worker.media.picture import decode_picture

SPEC = InputSpec(4, 224, 224, 16_000)
FRAMES_SENT_PER_FRAME_SEEN = 2
THREADS = 2


def main(args: Sequence[str]) -> None:
    """Measure, and print the ratio."""
    streams, seconds = (int(arg) for arg in (*args, "12", "60")[:2])
    films = [Feed(f"feed-{number}").play(seconds) for number in range(streams)]
    windows = streams * seconds // 2
    limit_s = _decode_only(films)
    worker_s = _work(films)
    sys.stdout.write(
        f"{windows} windows of {streams} streams\n"
        f"decoding alone   {limit_s:7.2f} s  {windows / limit_s:8.0f} windows/s\n"
        f"the whole worker {worker_s:7.2f} s  {windows / worker_s:8.0f} windows/s\n"
        f"ratio to the limit {limit_s / worker_s:.2f}\n"
    )


def _decode_only(films: Sequence[Sequence[InputRecord]]) -> float:
    frames = [r for film in films for r in film if isinstance(r, VideoFrame)][::FRAMES_SENT_PER_FRAME_SEEN]
    chunks = [r for film in films for r in film if isinstance(r, AudioChunk)]
    started_ns = time.monotonic_ns()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda frame: decode_picture(frame.data, SPEC), frames))
        list(pool.map(lambda chunk: decode_audio(chunk, SPEC.sample_rate_hz), chunks))
    return (time.monotonic_ns() - started_ns) / 1e9


def _work(films: Sequence[Sequence[InputRecord]]) -> float:
    world = World()
    publisher = world.transport.publisher()
    for film in films:
        for record in film:
            wire = encode(record)
            publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
    with world.open() as pipeline:
        started_ns = time.monotonic_ns()
        pipeline.run(threading.Event(), until_end=lambda: True)
        return (time.monotonic_ns() - started_ns) / 1e9


if __name__ == "__main__":
    main(sys.argv[1:])
