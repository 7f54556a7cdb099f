"""Write evidence to files: the bytes of the records, their metadata, and the joined audio."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from triptych.consumers.evidence.evidence import EvidenceRecord, GatheredEvidence
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.schemas.errors import UsageError
from triptych.schemas.records import AudioChunk, MediaRecord, SubtitleCue
from triptych.schemas.results import Result
from triptych.units import NS_PER_S

_SUFFIX_OF: Final = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "audio/wav": "wav",
    "audio/flac": "flac",
}
_MAX_BYTES: Final = 256 * 1024 * 1024
_Format = tuple[int, int, int]


def check_folder(folder: Path) -> None:
    """Create the folder. Raises `UsageError` if it is not empty or cannot be created."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"out: expected a folder to write to, got: {error}") from error
    if used:
        raise UsageError(f"out: expected an empty folder or a new one, got {folder}, which contains files")


def write_evidence(folder: Path, delivery: Delivery, gathered: Sequence[GatheredEvidence]) -> None:
    """Write `result.json`, one file per record, `records.json` that lists them, and `sound.wav`."""
    folder.joinpath("result.json").write_bytes(delivery.document)
    listed: list[dict[str, Any]] = []
    for found in gathered:
        for item in found.items:
            name = f"{found.modality}/{item.record.offset}.{_suffix(item.media)}"
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(item.record.value)
            listed.append(_described_record(name, item))
    folder.joinpath("records.json").write_text(json.dumps(listed, indent=2, ensure_ascii=False), encoding="utf-8")
    chunks = [e.media for found in gathered for e in found.items if isinstance(e.media, AudioChunk)]
    audio = joined_audio(chunks, delivery.result)
    if audio is not None:
        folder.joinpath("sound.wav").write_bytes(audio)


def joined_audio(chunks: Sequence[AudioChunk], result: Result) -> bytes | None:
    """Return the window's audio as one WAV file, silent where there is none; None if the chunks cannot be joined.

    They can be joined if all are uncompressed WAV of one format, as Triptych's producers send them.
    """
    read = [_samples(chunk) for chunk in chunks]
    formats = {found[0] for found in read if found is not None}
    if not read or None in read or len(formats) != 1:
        return None
    [(channels, width, rate_hz)] = formats
    frame = channels * width
    joined = bytearray(_frames(result.end_ns - result.start_ns, rate_hz) * frame)
    if not joined or len(joined) > _MAX_BYTES or width == 1:  # 8-bit samples are unsigned: zeros are not silence
        return None
    for chunk, found in zip(chunks, read, strict=True):
        _copy_into(joined, found[1] if found else b"", _frames(chunk.start_ns - result.start_ns, rate_hz) * frame)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(joined)
    return out.getvalue()


def _samples(chunk: AudioChunk) -> tuple[_Format, bytes] | None:
    if chunk.content_type != "audio/wav":
        return None
    try:
        with wave.open(io.BytesIO(chunk.data)) as file:
            form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            return form, file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError):
        return None


def _frames(span_ns: int, rate_hz: int) -> int:
    return round(span_ns * rate_hz / NS_PER_S)


def _copy_into(joined: bytearray, samples: bytes, at: int) -> None:
    """Copy samples into the window at a byte offset, cutting what lies outside."""
    samples = samples[-at:] if at < 0 else samples
    at = max(at, 0)
    samples = samples[: max(len(joined) - at, 0)]
    joined[at : at + len(samples)] = samples


def _suffix(media: MediaRecord) -> str:
    return "txt" if isinstance(media, SubtitleCue) else _SUFFIX_OF[media.content_type]


def _described_record(name: str, item: EvidenceRecord) -> dict[str, Any]:
    record = item.record
    position = {"file": name, "topic": record.topic, "partition": record.partition, "offset": record.offset}
    metadata = item.media.model_dump(mode="json", exclude={"data", "text", "redriven"}, exclude_none=True)
    return position | {"arrival_ns": record.arrival_ns} | metadata
