"""Sound from audio packets: 16 kHz mono, in chunks whose times are exact to the sample.

Time is counted in samples from the first time stamp of an unbroken run. A time stamp that contradicts the count by
more than jitter ends the run: a gap is left open, an overlap is cut off, and the next run counts from its own stamp.
Priming samples that the container declares are already taken off by the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet
from numpy.typing import NDArray

from triptych.producers.session_timeline import SessionTimeline, ticks_to_ns
from triptych.units import NS_PER_S

SAMPLE_RATE_HZ: Final = 16_000
CHUNK_SAMPLES: Final = SAMPLE_RATE_HZ // 2
NS_PER_SAMPLE: Final = NS_PER_S // SAMPLE_RATE_HZ
JITTER_NS: Final = 5_000_000
"""What time stamps may be off without being a gap: Matroska rounds them to 1 ms, a lost packet is 20 ms and more."""
_JITTER_TICKS: Final = 2

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class PcmChunk:
    """Samples, and the session time of the first."""

    start_ns: int
    samples: Samples

    @property
    def end_ns(self) -> int:
        """The session time after the last sample."""
        return self.start_ns + len(self.samples) * NS_PER_SAMPLE


class _Run:
    """Samples without a gap, resampled, cut into chunks."""

    def __init__(self, start_ns: int, frame: av.AudioFrame, min_start_ns: int) -> None:
        self.kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        self._rate = frame.sample_rate
        self._taken = 0
        self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
        self._begun_ns = start_ns
        self._surplus = max(0, -((start_ns - min_start_ns) // NS_PER_SAMPLE))
        self._next_ns = start_ns + self._surplus * NS_PER_SAMPLE
        self._pending: list[Samples] = []
        self._held = 0

    @property
    def read_ns(self) -> int:
        """The time after the last sample taken in."""
        return self._begun_ns + self._taken * NS_PER_S // self._rate

    def feed(self, frame: av.AudioFrame) -> Iterator[PcmChunk]:
        """Take a frame; yield the chunks that it fills."""
        self._taken += frame.samples
        frame.pts = None  # our own count is the time; the resampler must not correct it
        for resampled in self._resampler.resample(frame):
            self._append(resampled)
        while self._held >= CHUNK_SAMPLES:
            yield self._cut(CHUNK_SAMPLES)

    def finish(self) -> Iterator[PcmChunk]:
        """Yield what is left."""
        for resampled in self._resampler.resample(None):
            self._append(resampled)
        while self._held:
            yield self._cut(min(self._held, CHUNK_SAMPLES))

    def _append(self, frame: av.AudioFrame) -> None:
        samples = frame.to_ndarray().reshape(-1).astype(np.int16, copy=False)
        cut = min(self._surplus, len(samples))
        self._surplus -= cut
        if cut < len(samples):
            self._pending.append(samples[cut:])
            self._held += len(samples) - cut

    def _cut(self, count: int) -> PcmChunk:
        joined = np.concatenate(self._pending)
        self._pending = [joined[count:]] if len(joined) > count else []
        self._held -= count
        sound = PcmChunk(self._next_ns, joined[:count])
        self._next_ns = sound.end_ns
        return sound


class AudioReader:
    """Read one pass over one audio track."""

    def __init__(self, stream: AudioStream, timeline: SessionTimeline, *, min_start_ns: int) -> None:
        """Begin a pass; sound before `min_start_ns` is cut off."""
        self._stream = stream
        self._timeline = timeline
        self._run: _Run | None = None
        self._jitter_ns = max(JITTER_NS, ticks_to_ns(_JITTER_TICKS, stream.time_base) if stream.time_base else 0)
        self.min_start_ns = max(timeline.base_ns, min_start_ns)
        self.broken = 0

    @property
    def end_ns(self) -> int:
        """Where the sound that was yielded ends."""
        return self.min_start_ns

    def feed(self, packet: Packet[AudioStream]) -> Iterator[PcmChunk]:
        """Yield the chunks that this packet completes."""
        yield from self._decoded(packet)

    def read_ns(self) -> int:
        """Return up to where the sound is known, sent or not."""
        return max(self.min_start_ns, self._run.read_ns) if self._run else self.min_start_ns

    def pause(self, watermark_ns: int) -> Iterator[PcmChunk]:
        """Yield what is left of the run: a gap has begun, and no sound before `watermark_ns` will be taken any more."""
        yield from self._finish_run()
        self.min_start_ns = max(self.min_start_ns, watermark_ns)

    def drain(self) -> Iterator[PcmChunk]:
        """Yield all that is left."""
        yield from self._decoded(None)
        yield from self._finish_run()

    def _decoded(self, packet: Packet[AudioStream] | None) -> Iterator[PcmChunk]:
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            self.broken += 1
            return
        for frame in frames:
            if frame.samples:
                yield from self._take(self._without_padding(frame, packet))

    def _without_padding(self, frame: av.AudioFrame, packet: Packet[AudioStream] | None) -> av.AudioFrame:
        """Cut off what the codec appended to fill its last frame, where the container says how long the packet is."""
        if packet is None or not packet.duration or frame.pts != packet.pts:
            return frame
        stated = ticks_to_ns(packet.duration, packet.time_base) * frame.sample_rate // NS_PER_S
        surplus_ns = (frame.samples - stated) * NS_PER_S // frame.sample_rate
        return _shortened(frame, stated) if stated and surplus_ns > self._jitter_ns else frame

    def _take(self, frame: av.AudioFrame) -> Iterator[PcmChunk]:
        start_ns = self._time_of(frame)
        if self._run is not None and not self._continues(self._run, frame, start_ns):
            yield from self._finish_run()
        if self._run is None:
            self._run = _Run(start_ns, frame, self.min_start_ns)
        for sound in self._run.feed(frame):
            self.min_start_ns = sound.end_ns
            yield sound

    def _time_of(self, frame: av.AudioFrame) -> int:
        if frame.pts is None or frame.time_base is None:
            return self.read_ns()
        return self._timeline.at(frame.pts, frame.time_base)

    def _continues(self, run: _Run, frame: av.AudioFrame, start_ns: int) -> bool:
        same_kind = run.kind == (frame.format.name, frame.layout.name, frame.sample_rate)
        return same_kind and abs(start_ns - run.read_ns) <= self._jitter_ns

    def _finish_run(self) -> Iterator[PcmChunk]:
        run, self._run = self._run, None
        if run is not None:
            for sound in run.finish():
                self.min_start_ns = sound.end_ns
                yield sound


def _shortened(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    columns = samples if frame.format.is_planar else samples * frame.layout.nb_channels
    kept: NDArray[Any] = np.ascontiguousarray(frame.to_ndarray()[:, :columns])
    shorter = av.AudioFrame.from_ndarray(kept, format=frame.format.name, layout=frame.layout.name)
    shorter.sample_rate = frame.sample_rate
    shorter.pts = frame.pts
    shorter.time_base = frame.time_base
    return shorter
