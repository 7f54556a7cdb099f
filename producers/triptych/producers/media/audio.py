"""Read audio packets: 16 kHz mono chunks whose times are exact to the sample.

Time is counted in samples from the first timestamp of a continuous run. A timestamp that contradicts the count by more
than jitter ends the run: a gap stays open, an overlap is trimmed, and the next run counts from its own timestamp. The
decoder has already removed the priming samples that the container declares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet
from numpy.typing import NDArray

from triptych.producers.media.decoding import DECODER_ERRORS, TrackDecoder
from triptych.producers.media.downmix import Downmix
from triptych.producers.media.frame_samples import samples_of, with_samples
from triptych.producers.session_timeline import SessionTimeline, TickScale
from triptych.units import NS_PER_S

SAMPLE_RATE_HZ: Final = 16_000
CHUNK_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""The length of a chunk: half a second."""
NS_PER_SAMPLE: Final = NS_PER_S // SAMPLE_RATE_HZ
JITTER_NS: Final = 5_000_000
"""The largest error of a timestamp that is not a gap: Matroska rounds to 1 ms, a lost packet is 20 ms or more."""
_JITTER_TICKS: Final = 2

Samples = NDArray[np.int16]
"""Audio samples, int16 [N], at 16 kHz."""


@dataclass(frozen=True, slots=True)
class PcmChunk:
    """Consecutive samples, int16 [N] at 16 kHz, and the session time of the first."""

    start_ns: int
    samples: Samples

    @property
    def end_ns(self) -> int:
        """The session time after the last sample."""
        return self.start_ns + len(self.samples) * NS_PER_SAMPLE


class _ContinuousRun:
    """Resample audio without a gap, and cut it into chunks.

    Attributes:
        format: the format of the audio: it ends where that changes.
        read_ns: the session time after the last sample fed.
        trimmed_samples: how many samples were trimmed at its beginning.
    """

    def __init__(self, start_ns: int, frame: av.AudioFrame, min_start_ns: int) -> None:
        self.format = _format_of(frame)
        self._rate = frame.sample_rate
        self._input_samples = 0
        self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
        self._start_ns = start_ns
        self.read_ns = start_ns
        self.trimmed_samples = 0
        self._samples_to_trim = max(0, -((start_ns - min_start_ns) // NS_PER_SAMPLE))
        self._next_ns = start_ns + self._samples_to_trim * NS_PER_SAMPLE
        self._pending: list[Samples] = []
        self._pending_samples = 0

    def feed(self, frame: av.AudioFrame) -> list[PcmChunk]:
        """Return the chunks that a frame completes."""
        frame.pts = None  # the sample count is the time; the resampler must not correct it
        resampled = self._resampler.resample(frame)
        self._input_samples += frame.samples
        self.read_ns = self._start_ns + self._input_samples * NS_PER_S // self._rate
        for each in resampled:
            self._append(each)
        return self._cut_chunks(CHUNK_SAMPLES)

    def finish(self) -> list[PcmChunk]:
        """Return the remaining samples."""
        for resampled in self._resampler.resample(None):
            self._append(resampled)
        return self.rest()

    def rest(self) -> list[PcmChunk]:
        """Return the samples that have left the resampler."""
        return self._cut_chunks(1)

    def _append(self, frame: av.AudioFrame) -> None:
        # The only plane of packed samples, without its padding. `to_ndarray` takes longer than the rest of this class.
        samples: Samples = np.frombuffer(memoryview(frame.planes[0]), np.int16, frame.samples)
        if self._samples_to_trim:
            cut = min(self._samples_to_trim, len(samples))
            self._samples_to_trim -= cut
            self.trimmed_samples += cut
            samples = samples[cut:]
        self._pending.append(samples)
        self._pending_samples += len(samples)

    def _cut_chunks(self, min_samples: int) -> list[PcmChunk]:
        chunks = []
        while self._pending_samples >= min_samples:
            chunks.append(self._cut(min(self._pending_samples, CHUNK_SAMPLES)))
        return chunks

    def _cut(self, count: int) -> PcmChunk:
        joined = np.concatenate(self._pending)
        self._pending = [joined[count:]] if len(joined) > count else []
        self._pending_samples -= count
        chunk = PcmChunk(self._next_ns, joined[:count])
        self._next_ns = chunk.end_ns
        return chunk


class AudioReader:
    """Read one pass over one audio track.

    Attributes:
        min_start_ns: the session time before which samples are trimmed: the end of what was yielded, or later.
        trimmed_ns: the length of the audio that was trimmed.
    """

    def __init__(
        self,
        stream: AudioStream,
        timeline: SessionTimeline,
        *,
        decoder: TrackDecoder,
        downmix: Downmix,
        min_start_ns: int,
    ) -> None:
        """Begin a pass. Audio before `min_start_ns` is trimmed."""
        self._stream = stream
        self._decoder = decoder
        self._downmix = downmix
        self.trimmed_ns = 0
        self._offset_ns = timeline.base_ns - timeline.origin_ns
        self._scale = TickScale(stream.time_base or Fraction(0))
        self._stated_duration: int | None = None
        self._run: _ContinuousRun | None = None
        self._jitter_ns = max(JITTER_NS, self._scale.ns(_JITTER_TICKS))
        self.min_start_ns = max(timeline.base_ns, min_start_ns)

    @property
    def end_ns(self) -> int:
        """The session time at which the yielded audio ends."""
        return self.min_start_ns

    def feed(self, packet: Packet[AudioStream]) -> list[PcmChunk]:
        """Return the chunks that this packet completes."""
        return self._decode(packet)

    def read_ns(self) -> int:
        """Return up to where the audio is known, sent or not."""
        return max(self.min_start_ns, self._run.read_ns) if self._run else self.min_start_ns

    def flush_for_gap(self, watermark_ns: int) -> list[PcmChunk]:
        """Return the rest of the run, because a gap has begun. Audio before `watermark_ns` is trimmed from now on."""
        chunks = self._finish_run()
        self.min_start_ns = max(self.min_start_ns, watermark_ns)
        return chunks

    def drain(self) -> list[PcmChunk]:
        """Return all that is left."""
        return self._decode(None) + self._finish_run()

    def _decode(self, packet: Packet[AudioStream] | None) -> list[PcmChunk]:
        chunks: list[PcmChunk] = []
        for frame in self._decoder.decode(self._stream, packet):
            if not frame.samples:
                continue
            # PyAV gives those that the decoder held at the end no time base.
            is_timed = packet is not None and frame.pts is not None
            start_ns = self._scale.ns(frame.pts) + self._offset_ns if is_timed else self.read_ns()
            chunks += self._take(self._without_padding(frame, packet), start_ns)
        return chunks

    def _without_padding(self, frame: av.AudioFrame, packet: Packet[AudioStream] | None) -> av.AudioFrame:
        """Trim what the codec appended to fill its last frame, where the container states the packet's duration.

        That duration is shorter than those before. A demuxer that does not know the duration states the same for
        all, which is wrong after a change of the sample rate.
        """
        if packet is None or not packet.duration or frame.pts != packet.pts:
            return frame
        before, self._stated_duration = self._stated_duration, packet.duration
        if before is None or packet.duration >= before:
            return frame
        stated_samples = self._scale.ns(packet.duration) * frame.sample_rate // NS_PER_S
        surplus_ns = (frame.samples - stated_samples) * NS_PER_S // frame.sample_rate
        return _truncated(frame, stated_samples) if stated_samples and surplus_ns > self._jitter_ns else frame

    def _take(self, frame: av.AudioFrame, start_ns: int) -> Sequence[PcmChunk]:
        before: Sequence[PcmChunk] = ()
        if self._run is not None and not self._continues(self._run, frame, start_ns):
            before = self._finish_run()
        if self._run is None:
            self._run = _ContinuousRun(start_ns, frame, self.min_start_ns)
        try:
            chunks = self._sent(self._run.feed(self._downmix.prepare(frame)))
        except DECODER_ERRORS as error:  # a format that does not exist, of a damaged packet
            self._decoder.fail(str(error))
            chunks = self._end_run(self._run, self._run.rest())
        return [*before, *chunks]

    def _continues(self, run: _ContinuousRun, frame: av.AudioFrame, start_ns: int) -> bool:
        return run.format == _format_of(frame) and abs(start_ns - run.read_ns) <= self._jitter_ns

    def _finish_run(self) -> list[PcmChunk]:
        return [] if self._run is None else self._end_run(self._run, self._run.finish())

    def _end_run(self, run: _ContinuousRun, rest: list[PcmChunk]) -> list[PcmChunk]:
        self._run = None
        self.trimmed_ns += run.trimmed_samples * NS_PER_SAMPLE
        return self._sent(rest)

    def _sent(self, chunks: list[PcmChunk]) -> list[PcmChunk]:
        if chunks:
            self.min_start_ns = chunks[-1].end_ns
        return chunks


def _format_of(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _truncated(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    return with_samples(frame, samples_of(frame)[:, :samples])
