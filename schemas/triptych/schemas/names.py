"""The names that several programs must agree on: modalities, topics, Redis keys, headers and event types.

A pipeline's name is also its consumer group, and the prefix of its Redis keys and of its own two topics. All pipelines
share the three input topics, so another pipeline can process old records again.
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
PROMPT_TYPE: Final = "triptych.prompt"
FEEDBACK_TYPE: Final = "triptych.feedback"
DESCRIPTION_TYPE: Final = "triptych.description"
INTERACTION_TYPE: Final = "triptych.interaction"
PROFILE_TYPE: Final = "triptych.profile"
ITEM_TYPE: Final = "triptych.item"

TOPICS_HEADER: Final = "triptych-topics"
"""Header of a result: the ids of the input topics (KIP-516) to which the positions in its state belong, as JSON."""

STATE_HEADER: Final = "triptych-state"
"""Header of a result: the aligner's state of its stream after the decision that produced it."""

REDRIVEN_HEADER: Final = "ce_redriven"
"""Header of a record that was redriven from the dead-letter topic."""

LETTER_HEADER: Final = "ce_letter"
"""Header of a redriven record: its dead letter, as `PIPELINE/TOPIC/PARTITION/OFFSET`."""

ORIGINAL_HEADER_PREFIX: Final = "original-"
"""Prefix of the record's own headers in a dead letter."""

ORIGINAL64_HEADER_PREFIX: Final = "original64-"
"""The same for headers that are not UTF-8. They are base64, because CloudEvents readers decode every header."""

# Kafka allows 249 characters in a topic name, including ".results" after the pipeline's name.
STREAM_PATTERN: Final = r"^[A-Za-z0-9._-]{1,128}$"
PIPELINE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
PROMPT_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def checked_pipeline(name: str) -> str:
    """Return the pipeline's name. Raises `UsageError` if it is not valid in names of topics and keys."""
    if not re.fullmatch(PIPELINE_PATTERN, name):
        msg = f"pipeline name: expected 1 to 128 of A-Z a-z 0-9 . _ - with a letter or digit first, got {name!r}"
        raise UsageError(msg)
    return name


def checked_stream(name: str) -> str:
    """Return the stream's id. Raises `UsageError` if it is invalid."""
    if not re.fullmatch(STREAM_PATTERN, name):
        msg = f"stream id: expected 1 to 128 of A-Z a-z 0-9 . _ -, got {name!r}"
        raise UsageError(msg)
    return name


def results_topic(pipeline: str) -> str:
    """Return the topic of a pipeline's results."""
    return f"{pipeline}.results"


def dead_topic(pipeline: str) -> str:
    """Return the dead-letter topic of a pipeline."""
    return f"{pipeline}.dead"


def prompts_topic(pipeline: str) -> str:
    """Return the compacted topic of a pipeline's prompts."""
    return f"{pipeline}.prompts"


def feedback_topic(pipeline: str) -> str:
    """Return the compacted topic of the answers that people gave about a pipeline's matches."""
    return f"{pipeline}.feedback"


def interactions_topic(pipeline: str) -> str:
    """Return the compacted topic of what users watched, liked and skipped, of their profiles, and of texts of items."""
    return f"{pipeline}.interactions"


def descriptions_topic(pipeline: str) -> str:
    """Return the topic of what vision-language models wrote about a pipeline's windows."""
    return f"{pipeline}.descriptions"


def consumer_group(pipeline: str) -> str:
    """Return the consumer group of a pipeline's workers."""
    return pipeline


def describer_group(pipeline: str) -> str:
    """Return the consumer group of the programs that describe a pipeline's results."""
    return f"{pipeline}.describe"


def result_id(stream: str, start_ns: int, end_ns: int, revision: int) -> str:
    """Return the id of a window's result, the same wherever and whenever it is computed."""
    return f"{window_id(stream, start_ns, end_ns)}/{revision}"


def window_id(stream: str, start_ns: int, end_ns: int) -> str:
    """Return the id of a window, which all its revisions share."""
    return f"{stream}/{start_ns}-{end_ns}"


# The stream in braces is the hash tag of Redis Cluster: the four keys of a stream have the same slot, so one script can
# access them together. The set of streams has another slot and is written separately.


def redis_results_key(pipeline: str, stream: str) -> str:
    """Return the key of the Redis stream that holds a stream's results."""
    return f"{pipeline}:results:{{{stream}}}"


def redis_index_key(pipeline: str, stream: str) -> str:
    """Return the key of the sorted set of a stream's result ids, scored by publication time in milliseconds."""
    return f"{pipeline}:index:{{{stream}}}"


def redis_marks_key(pipeline: str, stream: str) -> str:
    """Return the key of the hash with a stream's newest window, and how far its index was trimmed."""
    return f"{pipeline}:marks:{{{stream}}}"


def redis_latest_key(pipeline: str, stream: str) -> str:
    """Return the key of a stream's newest result."""
    return f"{pipeline}:latest:{{{stream}}}"


def redis_streams_key(pipeline: str) -> str:
    """Return the key of the sorted set of a pipeline's streams, scored by their last write in milliseconds."""
    return f"{pipeline}:streams"
