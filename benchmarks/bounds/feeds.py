"""Synthetic feeds: small, fast to generate, and with any skew in event time."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from triptych.schemas.codec import encode
from triptych.schemas.names import MODALITIES, TOPIC_OF, Modality
from triptych.schemas.records import AudioChunk, End, InputRecord, SubtitleCue, VideoFrame
from triptych.transport.protocols import Publisher
from triptych.transport.records import Message

SECOND: Final = 1_000_000_000
RATE_HZ: Final = 16_000


def image(size_bytes: int) -> bytes:
    """Return a JPEG image of about `size_bytes` bytes, at least 64 pixels wide."""
    width = max(64, round((size_bytes * 2.07) ** 0.5))  # noise at this quality needs 0.86 bytes per pixel
    noise = np.random.default_rng(0).integers(0, 255, (width * 9 // 16, width, 3), dtype=np.uint8)
    flat = np.full((36, 64, 3), 96, np.uint8)
    encoded, data = cv2.imencode(".jpg", flat if size_bytes < len(noise) else noise, [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not encoded:
        raise RuntimeError("OpenCV could not encode the image")
    return data.tobytes()


def hum_wav(length_ns: int) -> bytes:
    """Return a WAV file with a steady hum: 16 kHz, mono, 16 bits."""
    samples = round(length_ns * RATE_HZ / SECOND)
    hum = (np.sin(np.arange(samples) * 0.05) * 3_000).astype(np.int16)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(hum.tobytes())
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class SyntheticFeedSpec:
    """The properties of a feed.

    Attributes:
        tracks: tracks that it announces and sends.
        image: the content of every frame.
        frame_every_ns: interval between frames.
        chunk_ns: duration of an audio chunk.
        chunk_every_ns: interval between chunks; if it exceeds `chunk_ns`, there is silence in between.
        cue_every_ns: interval between cues; each lasts half as long.
        ahead_ns: by how much the event time of a track is ahead of that of the frames sent with it.
    """

    tracks: Sequence[Modality] = MODALITIES
    image: bytes = b""
    frame_every_ns: int = SECOND // 4
    chunk_ns: int = SECOND // 2
    chunk_every_ns: int = SECOND // 2
    cue_every_ns: int = 4 * SECOND
    ahead_ns: dict[Modality, int] | None = None


class SyntheticFeed:
    """A feed that generates its records in the order in which they are sent."""

    def __init__(self, stream: str, spec: SyntheticFeedSpec, *, start_ns: int) -> None:
        """Start at `start_ns`, in event time."""
        self._stream = stream
        self._spec = spec
        self._start_ns = start_ns
        self._sent: dict[Modality, int] = dict.fromkeys(MODALITIES, 0)
        self._chunk = hum_wav(spec.chunk_ns)

    def play(self, until_ns: int) -> Iterator[InputRecord]:
        """Yield the records that are sent until the video has reached `until_ns` after the start."""
        ahead_ns = self._spec.ahead_ns or {}
        while True:
            due = [(self._next_ns(modality) - ahead_ns.get(modality, 0), modality) for modality in self._spec.tracks]
            at_ns, modality = min(due)
            if at_ns >= until_ns:
                return
            yield self._record(modality, self._next_ns(modality))

    def ends(self) -> Iterator[InputRecord]:
        """Yield the end of each track, at its current position."""
        for modality in self._spec.tracks:
            yield End.model_validate(self._common(modality, self._next_ns(modality)) | {"modality": modality})

    def _every_ns(self, modality: Modality) -> int:
        spec = self._spec
        return {"video": spec.frame_every_ns, "audio": spec.chunk_every_ns, "subtitles": spec.cue_every_ns}[modality]

    def _next_ns(self, modality: Modality) -> int:
        return self._sent[modality] * self._every_ns(modality)

    def _common(self, modality: Modality, at_ns: int) -> dict[str, object]:
        return {
            "stream": self._stream,
            "id": f"s/{modality}/{self._sent[modality]}",
            "source": "bounds:feed",
            "session": "s",
            "tracks": tuple(self._spec.tracks),
            "start_ns": self._start_ns + at_ns,
            "next_ns": self._start_ns + at_ns,
        }

    def _record(self, modality: Modality, at_ns: int) -> InputRecord:
        common = self._common(modality, at_ns) | {"seq": self._sent[modality]}
        self._sent[modality] += 1
        common["next_ns"] = self._start_ns + self._next_ns(modality)
        begin_ns = self._start_ns + at_ns
        match modality:
            case "video":
                return VideoFrame.model_validate(common | {"data": self._spec.image})
            case "audio":
                own = {"end_ns": begin_ns + self._spec.chunk_ns, "data": self._chunk, "sample_rate_hz": RATE_HZ}
                return AudioChunk.model_validate(common | own)
            case "subtitles":
                text = f"words at {at_ns // SECOND} s of {self._stream}"
                end_ns = begin_ns + self._spec.cue_every_ns // 2
                return SubtitleCue.model_validate(common | {"end_ns": end_ns, "text": text})


def send(publisher: Publisher, records: Iterable[InputRecord]) -> tuple[int, int]:
    """Send records without waiting for acknowledgements. Return the number of records and of bytes."""
    count = size = 0
    for record in records:
        wire = encode(record)
        publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
        count += 1
        size += len(wire.key) + len(wire.value) + sum(len(name) + len(value) for name, value in wire.headers)
    return count, size
