"""Records of feeds that were never filmed: small, quick to make, and as skewed in event time as one likes."""

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


def picture(size_bytes: int) -> bytes:
    """Return a JPEG of about so many bytes, 64 pixels wide at least."""
    width = max(64, round((size_bytes * 2.07) ** 0.5))  # noise at this quality takes 0.86 bytes a pixel
    noise = np.random.default_rng(0).integers(0, 255, (width * 9 // 16, width, 3), dtype=np.uint8)
    flat = np.full((36, 64, 3), 96, np.uint8)
    encoded, data = cv2.imencode(".jpg", flat if size_bytes < len(noise) else noise, [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not encoded:
        raise RuntimeError("the picture could not be encoded")
    return data.tobytes()


def sound(length_ns: int) -> bytes:
    """Return so much of a steady hum as WAV: 16 kHz, mono, 16 bits."""
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
class Make:
    """What a feed is like.

    Attributes:
        tracks: what it announces and sends.
        picture: the frame that is sent again and again.
        frame_every_ns: from one frame to the next.
        chunk_ns: the length of a chunk of sound.
        chunk_every_ns: from one chunk to the next; longer than the chunk leaves silence between them.
        cue_every_ns: from one cue to the next; each is half as long.
        ahead_ns: how far the event time of a track runs ahead of that of the pictures which are sent with it.
    """

    tracks: Sequence[Modality] = MODALITIES
    picture: bytes = b""
    frame_every_ns: int = SECOND // 4
    chunk_ns: int = SECOND // 2
    chunk_every_ns: int = SECOND // 2
    cue_every_ns: int = 4 * SECOND
    ahead_ns: dict[Modality, int] | None = None


class SyntheticFeed:
    """One feed; `play` makes its records in the order in which they are sent."""

    def __init__(self, stream: str, make: Make, *, start_ns: int) -> None:
        """Begin at `start_ns` of event time."""
        self._stream = stream
        self._make = make
        self._start_ns = start_ns
        self._sent: dict[Modality, int] = dict.fromkeys(MODALITIES, 0)
        self._sound = sound(make.chunk_ns)

    def play(self, until_ns: int) -> Iterator[InputRecord]:
        """Yield what is sent until the pictures have come to `until_ns` after the start, track by track in turn."""
        ahead_ns = self._make.ahead_ns or {}
        while True:
            due = [(self._next_ns(modality) - ahead_ns.get(modality, 0), modality) for modality in self._make.tracks]
            at_ns, modality = min(due)
            if at_ns >= until_ns:
                return
            yield self._record(modality, self._next_ns(modality))

    def ends(self) -> Iterator[InputRecord]:
        """Yield the ends of all tracks, each where it has come to."""
        for modality in self._make.tracks:
            yield End.model_validate(self._common(modality, self._next_ns(modality)) | {"modality": modality})

    def _every_ns(self, modality: Modality) -> int:
        make = self._make
        return {"video": make.frame_every_ns, "audio": make.chunk_every_ns, "subtitles": make.cue_every_ns}[modality]

    def _next_ns(self, modality: Modality) -> int:
        return self._sent[modality] * self._every_ns(modality)

    def _common(self, modality: Modality, at_ns: int) -> dict[str, object]:
        return {
            "stream": self._stream,
            "id": f"s/{modality}/{self._sent[modality]}",
            "source": "bounds:feed",
            "session": "s",
            "tracks": tuple(self._make.tracks),
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
                return VideoFrame.model_validate(common | {"data": self._make.picture})
            case "audio":
                own = {"end_ns": begin_ns + self._make.chunk_ns, "data": self._sound, "sample_rate_hz": RATE_HZ}
                return AudioChunk.model_validate(common | own)
            case "subtitles":
                text = f"words at {at_ns // SECOND} s of {self._stream}"
                end_ns = begin_ns + self._make.cue_every_ns // 2
                return SubtitleCue.model_validate(common | {"end_ns": end_ns, "text": text})


def send(publisher: Publisher, records: Iterable[InputRecord]) -> tuple[int, int]:
    """Send records as producers do; return how many, and how many bytes. They are acknowledged later."""
    count = size = 0
    for record in records:
        wire = encode(record)
        publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
        count += 1
        size += len(wire.key) + len(wire.value) + sum(len(name) + len(value) for name, value in wire.headers)
    return count, size
