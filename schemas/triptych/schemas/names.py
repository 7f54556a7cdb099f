"""Every name that more than one program must agree on: modalities, topics, Redis keys, header and event names.

A pipeline's name is its consumer group, the prefix of its Redis keys and of its own two topics. The three input
topics are shared by all pipelines, so that old records can be run through another pipeline.
"""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

from triptych.schemas.errors import UsageError

Modality = Literal["video", "audio", "subtitles"]
MODALITIES: Final[tuple[Modality, ...]] = get_args(Modality)

VIDEO_TOPIC: Final = "triptych.video"
AUDIO_TOPIC: Final = "triptych.audio"
SUBTITLES_TOPIC: Final = "triptych.subtitles"
TOPIC_OF: Final[dict[Modality, str]] = {"video": VIDEO_TOPIC, "audio": AUDIO_TOPIC, "subtitles": SUBTITLES_TOPIC}
MODALITY_OF: Final[dict[str, Modality]] = {topic: modality for modality, topic in TOPIC_OF.items()}
INPUT_TOPICS: Final[tuple[str, ...]] = tuple(TOPIC_OF.values())

DEFAULT_PIPELINE: Final = "triptych"

FRAME_TYPE: Final = "triptych.video.frame"
CHUNK_TYPE: Final = "triptych.audio.chunk"
CUE_TYPE: Final = "triptych.subtitles.cue"
PROGRESS_TYPE: Final = "triptych.progress"
END_TYPE: Final = "triptych.end"
RESULT_TYPE: Final = "triptych.result"
DEAD_TYPE: Final = "triptych.dead"
REDRIVE_TYPE: Final = "triptych.redrive"

STATE_HEADER: Final = "triptych-state"
"""Header of a result that carries the aligner's state of its stream after the decision that made it."""

REDRIVEN_HEADER: Final = "ce_redriven"
"""Header of a record that was put back from the dead letters."""

LETTER_HEADER: Final = "ce_letter"
"""The same record's: whose dead letter it was, and which. `PIPELINE/TOPIC/PARTITION/OFFSET`."""

ORIGINAL_HEADER_PREFIX: Final = "original-"
"""Prefix under which a dead letter keeps each header of the record that it holds."""

ORIGINAL64_HEADER_PREFIX: Final = "original64-"
"""The same for a header that is not UTF-8: kept as base64, because CloudEvents readers decode every header."""

# Kafka allows 249 characters in a topic name; ".results" has to fit behind the pipeline's.
STREAM_PATTERN: Final = r"^[A-Za-z0-9._-]{1,128}$"
PIPELINE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


def checked_pipeline(name: str) -> str:
    """Return the pipeline's name, or raise `UsageError` where it could not name topics and keys."""
    if not re.fullmatch(PIPELINE_PATTERN, name):
        msg = f"pipeline name: expected 1 to 128 of A-Z a-z 0-9 . _ - with a letter or digit first, got {name!r}"
        raise UsageError(msg)
    return name


def checked_stream(name: str) -> str:
    """Return the stream's id, or raise `UsageError` where it could not be a key."""
    if not re.fullmatch(STREAM_PATTERN, name):
        msg = f"stream id: expected 1 to 128 of A-Z a-z 0-9 . _ -, got {name!r}"
        raise UsageError(msg)
    return name


def results_topic(pipeline: str) -> str:
    """Return the topic of a pipeline's results."""
    return f"{pipeline}.results"


def dead_topic(pipeline: str) -> str:
    """Return the topic of a pipeline's dead letters."""
    return f"{pipeline}.dead"


def consumer_group(pipeline: str) -> str:
    """Return the consumer group that a pipeline's workers join."""
    return pipeline


def result_id(stream: str, start_ns: int, end_ns: int, revision: int) -> str:
    """Return the id of a window's result, the same wherever and whenever it is computed."""
    return f"{stream}/{start_ns}-{end_ns}/{revision}"


# The stream in braces is the hash tag of Redis Cluster: the four keys of a stream lie on one slot, and one script
# may touch them together. The set of streams lies on another slot and is written apart.


def redis_results_key(pipeline: str, stream: str) -> str:
    """Return the key of the Redis stream that holds a feed's results."""
    return f"{pipeline}:results:{{{stream}}}"


def redis_index_key(pipeline: str, stream: str) -> str:
    """Return the key of the sorted set of a feed's result ids, scored by publication (milliseconds)."""
    return f"{pipeline}:index:{{{stream}}}"


def redis_marks_key(pipeline: str, stream: str) -> str:
    """Return the key of the hash that says how far a feed's index has forgotten, and what its newest window is."""
    return f"{pipeline}:marks:{{{stream}}}"


def redis_latest_key(pipeline: str, stream: str) -> str:
    """Return the key of a feed's newest result."""
    return f"{pipeline}:latest:{{{stream}}}"


def redis_streams_key(pipeline: str) -> str:
    """Return the key of the sorted set of a pipeline's feeds, scored by their last write (milliseconds)."""
    return f"{pipeline}:streams"
