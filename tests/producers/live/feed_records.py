"""Records of a feed, one per second."""

from __future__ import annotations

from triptych.schemas.records import AudioChunk, SubtitleCue, VideoFrame

S = 1_000_000_000
COMMON = {"stream": "feed", "source": "rtsp://camera", "tracks": ("video", "audio", "subtitles")}


def video_frame(number: int, session: str = "a", size: int = 1_000) -> VideoFrame:
    """Return a frame of this size in bytes."""
    return VideoFrame(
        **COMMON, session=session, id=f"v{number}", seq=number, start_ns=number * S, next_ns=number * S + 1,
        data=b"x" * size, width=2, height=2,
    )  # fmt: skip


def audio_chunk(number: int, size: int = 1_000) -> AudioChunk:
    """Return one second of audio of this size in bytes."""
    return AudioChunk(
        **COMMON, session="a", id=f"a{number}", seq=number, start_ns=number * S, end_ns=(number + 1) * S,
        next_ns=(number + 1) * S, data=b"x" * size, sample_rate_hz=16_000,
    )  # fmt: skip


def subtitle_cue(number: int) -> SubtitleCue:
    """Return a cue."""
    return SubtitleCue(
        **COMMON, session="a", id=f"s{number}", seq=number, start_ns=number * S, end_ns=(number + 2) * S,
        next_ns=number * S, text="words",
    )  # fmt: skip
