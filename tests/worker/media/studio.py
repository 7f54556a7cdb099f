"""Closed windows with generated pictures, audio and cues."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from itertools import count
from types import MappingProxyType

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec
from triptych.schemas.names import Modality
from triptych.schemas.records import AudioChunk, MediaRecord, SoundType, SubtitleCue, VideoFrame
from triptych.schemas.results import State
from triptych.transport.records import Record
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import Entry, Kind
from triptych.worker.alignment.snapshot import Snapshot
from triptych.worker.intake import Received

SECOND = 1_000_000_000
START_NS = 1_767_225_600 * SECOND
RATE_HZ = 16_000

_SNAPSHOT = Snapshot(
    positions=MappingProxyType({}),
    clock_ns=0,
    next_window_start_ns=0,
    max_event_time_ns=0,
    empty_run=0,
    forgetting=False,
    sessions=MappingProxyType({}),
    tracks=MappingProxyType({}),
)


class Studio:
    """Makes media, and windows that contain it. Times are seconds after `start_ns`."""

    start_ns = START_NS
    spec = InputSpec(frames=4, height=32, width=48, sample_rate_hz=RATE_HZ)

    def __init__(self) -> None:
        self._offsets = count()

    def picture(self, rgb: tuple[int, int, int], *, form: str = ".png", height: int = 36, width: int = 64) -> bytes:
        """Return an encoded picture of one colour."""
        bgr = np.full((height, width, 3), rgb[::-1], np.uint8)
        encoded, data = cv2.imencode(form, bgr)
        assert encoded
        return data.tobytes()

    def wav(self, samples: NDArray[np.int16], *, rate_hz: int = RATE_HZ) -> bytes:
        """Return samples `[S]` or `[S, C]` as 16-bit WAV."""
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            file.writeframes(samples.astype("<i2").tobytes())
        return buffer.getvalue()

    def by_ffmpeg(self, samples: NDArray[np.float32], codec: str, form: str, *, rate_hz: int = RATE_HZ) -> bytes:
        """Return samples `[S]` in [-1, 1] encoded by FFmpeg."""
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=form) as container:
            stream = container.add_stream(codec, rate=rate_hz, layout="mono")
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
            frame.sample_rate = rate_hz
            for packet in stream.encode(frame):
                container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)
        return buffer.getvalue()

    def frame(self, at_s: float, data: bytes) -> Entry:
        """Return the entry of a frame."""
        start_ns = self.at(at_s)
        record = VideoFrame.model_validate(self._common() | {"start_ns": start_ns, "data": data})
        return self._entry(record, start_ns + 1)

    def chunk(
        self, start_s: float, end_s: float, data: bytes, *, content_type: SoundType = "audio/wav", skew_ns: int = 0
    ) -> Entry:
        """Return the entry of a chunk whose start is moved by `skew_ns`."""
        record = AudioChunk.model_validate(
            self._common()
            | {
                "start_ns": self.at(start_s) + skew_ns,
                "end_ns": self.at(end_s),
                "data": data,
                "content_type": content_type,
            }
        )
        return self._entry(record, record.end_ns)

    def speech(self, first: int, last: int) -> Entry:
        """Return a chunk of samples `first` to `last` of audio in which each sample is its own index plus 1."""
        return self.chunk(first / RATE_HZ, last / RATE_HZ, self.wav(numbered(first, last)))

    def cue(self, start_s: float, end_s: float, text: str, *, capped_s: float | None = None) -> Entry:
        """Return the entry of a cue. `capped_s` is the end that alignment limits it to (`max_cue`)."""
        record = SubtitleCue.model_validate(
            self._common() | {"start_ns": self.at(start_s), "end_ns": self.at(end_s), "text": text}
        )
        return self._entry(record, self.at(end_s if capped_s is None else capped_s))

    def window(
        self,
        items: Sequence[Entry] = (),
        *,
        start_s: float = 0,
        end_s: float = 2,
        video: State = "present",
        held: Entry | None = None,
    ) -> ClosedWindow:
        """Return a closed window of these items."""
        by_modality: dict[Modality, tuple[Entry, ...]] = {
            modality: tuple(item for item in items if item.modality == modality)
            for modality in ("audio", "subtitles", "video")
        }
        states: dict[Modality, State] = {"video": video, "audio": "present", "subtitles": "present"}
        return ClosedWindow(
            stream="city",
            start_ns=self.at(start_s),
            end_ns=self.at(end_s),
            closed_by="progress",
            skipped=0,
            dead=0,
            items=by_modality,
            states=states,
            held=held,
            snapshot=_SNAPSHOT,
        )

    def at(self, seconds: float) -> int:
        """Return an event time in nanoseconds."""
        return self.start_ns + round(seconds * SECOND)

    def _common(self) -> dict[str, object]:
        return {"stream": "city", "id": "1", "source": "test:studio", "session": "s1"}

    def _entry(self, decoded: MediaRecord, end_ns: int) -> Entry:
        offset = next(self._offsets)
        record = Record(f"triptych.{decoded.modality}", 0, offset, 0, b"city", b"")
        return Entry(
            modality=decoded.modality,
            offset=offset,
            arrival_ns=0,
            stream="city",
            kind=Kind.MEDIA,
            start_ns=decoded.start_ns,
            end_ns=end_ns,
            payload=Received(record, decoded),
        )


def numbered(first: int, last: int) -> NDArray[np.int16]:
    """Return samples whose values are their indices plus 1, so none is zero."""
    return (np.arange(first, last) % 30_000 + 1).astype(np.int16)
