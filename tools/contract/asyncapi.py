"""The AsyncAPI document: topics, writers, and the content of each message. From the worker's point of view."""

from __future__ import annotations

from typing import Any, Final

from tools.contract.json_schema import DECIMAL, Schema, component_schemas, envelope, headers_schema
from triptych.schemas import names
from triptych.schemas.dead import DeadLetter, RedriveMark
from triptych.schemas.records import AudioChunk, End, Progress, SubtitleCue, VideoFrame
from triptych.schemas.tracing.trace_context import TRACEPARENT_HEADER, TRACEPARENT_PATTERN

_BYTES: Final[Schema] = {"type": "string", "format": "binary", "minLength": 1}
_NOTHING: Final[Schema] = {"type": "string", "maxLength": 0}
_STREAM_KEY: Final[Schema] = {"type": "string", "pattern": names.STREAM_PATTERN}
_TRACED: Final[dict[str, Schema]] = {
    TRACEPARENT_HEADER: {
        "type": "string",
        "pattern": f"^{TRACEPARENT_PATTERN}$",
        "description": "Optional. The span that sent it, by CloudEvents' extension for distributed tracing.",
    }
}
_LENIENT_TEXT: Final[Schema] = {"type": "string", "description": "Optional. The charset, if given, must be UTF-8."}
_PIPELINE: Final[Schema] = {
    "description": "The name of the pipeline: also the workers' consumer group and the prefix of the Redis keys.",
    "default": names.DEFAULT_PIPELINE,
}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    channels: dict[str, Any] = {modality: _input_channel(modality) for modality in names.MODALITIES}
    channels["results"] = _pipeline_channel(names.results_topic("{pipeline}"), "result")
    channels["dead"] = _pipeline_channel(names.dead_topic("{pipeline}"), "deadLetter", "redriveMark")
    channels["prompts"] = _pipeline_channel(names.prompts_topic("{pipeline}"), "promptChange", policy="compact")
    channels["feedback"] = _pipeline_channel(names.feedback_topic("{pipeline}"), "feedback", policy="compact")
    channels["interactions"] = _pipeline_channel(
        names.interactions_topic("{pipeline}"), "interaction", "userProfile", "itemText", policy="compact"
    )
    channels["descriptions"] = _pipeline_channel(names.descriptions_topic("{pipeline}"), "description")
    return {
        "asyncapi": "3.0.0",
        "info": _info(),
        "servers": {"kafka": {"host": "127.0.0.1:9092", "protocol": "kafka", "description": "A development broker."}},
        "channels": channels,
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": component_schemas()},
    }


def _info() -> dict[str, Any]:
    return {
        "title": "Triptych",
        "version": "1.0.0",
        "description": "Video, audio and subtitles of live streams in, one result for each window of event time out. "
        "CloudEvents 1.0, Kafka binding, binary mode: the value is the media, everything else is a header. The key is "
        "the stream's id; murmur2 of the key chooses the partition on every topic. Times are nanoseconds since the "
        "epoch.",
        "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    }


_MEDIA_OF: Final = {"video": "frame", "audio": "chunk", "subtitles": "cue"}


def _input_channel(modality: names.Modality) -> dict[str, Any]:
    kinds = (_MEDIA_OF[modality], "progress", "end")
    return {
        "address": names.TOPIC_OF[modality],
        "description": f"The {modality} records of the producers; shared by all pipelines.",
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds},
        "bindings": _bindings(),
    }


def _pipeline_channel(address: str, *kinds: str, policy: str = "delete") -> dict[str, Any]:
    return {
        "address": address,
        "parameters": {"pipeline": dict(_PIPELINE)},
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds},
        "bindings": _bindings(policy),
    }


def _bindings(policy: str = "delete") -> dict[str, Any]:
    # The binding has no keyword for `message.timestamp.type`; `triptych topics check` checks it.
    return {"kafka": {"bindingVersion": "0.5.0", "topicConfiguration": {"cleanup.policy": [policy]}}}


def _operations() -> dict[str, Any]:
    receive = {
        f"receive{modality.capitalize()}": {"action": "receive", "channel": {"$ref": f"#/channels/{modality}"}}
        for modality in names.MODALITIES
    }
    return receive | {
        "receivePromptChange": {"action": "receive", "channel": {"$ref": "#/channels/prompts"}},
        "receiveFeedback": {"action": "receive", "channel": {"$ref": "#/channels/feedback"}},
        "receiveInteraction": {"action": "receive", "channel": {"$ref": "#/channels/interactions"}},
        "sendResult": {"action": "send", "channel": {"$ref": "#/channels/results"}},
        "sendDeadLetter": {"action": "send", "channel": {"$ref": "#/channels/dead"}},
        "sendDescription": {"action": "send", "channel": {"$ref": "#/channels/descriptions"}},
    }


def _messages() -> dict[str, Any]:
    text = {"content-type": _LENIENT_TEXT}
    return {
        "frame": _message(
            "One encoded video frame.", headers_schema(VideoFrame, names.FRAME_TYPE, also=_TRACED), _BYTES, "image/jpeg"
        ),
        "chunk": _message(
            "A chunk of audio.", headers_schema(AudioChunk, names.CHUNK_TYPE, also=_TRACED), _BYTES, "audio/wav"
        ),
        "cue": _message(
            "A subtitle cue.",
            headers_schema(SubtitleCue, names.CUE_TYPE, also=text | _TRACED),
            {"type": "string", "minLength": 1},
            "text/plain;charset=utf-8",
        ),
        "progress": _message(
            "How far a track without media has been read.",
            headers_schema(Progress, names.PROGRESS_TYPE, also=_TRACED),
            _NOTHING,
        ),
        "end": _message("The end of a track.", headers_schema(End, names.END_TYPE, also=_TRACED), _NOTHING),
        "result": _message(
            "The result of one window.",
            _result_headers(),
            {"$ref": "#/components/schemas/Result"},
            "application/json",
        ),
        "deadLetter": _dead_letter(),
        "redriveMark": _redrive_mark(),
        "promptChange": _json_message("A prompt that was set or removed.", names.PROMPT_TYPE, "PromptChange"),
        "feedback": _json_message("Whether a window fits a prompt, as a person said.", names.FEEDBACK_TYPE, "Feedback"),
        "interaction": _json_message("What a user did with an item.", names.INTERACTION_TYPE, "Interaction"),
        "userProfile": _json_message("What a user likes, in words.", names.PROFILE_TYPE, "UserProfile"),
        "itemText": _json_message("What an item is about.", names.ITEM_TYPE, "ItemText"),
        "description": _message(
            "What a vision-language model wrote about one window.",
            _document_headers(names.DESCRIPTION_TYPE),
            {"$ref": "#/components/schemas/Description"},
            "application/json",
        ),
    }


def _document_headers(ce_type: str) -> Schema:
    """Return the headers of a window's JSON document. Most repeat fields of the document."""
    own = envelope(ce_type) | {"ce_startns": dict(DECIMAL), "ce_endns": dict(DECIMAL)}
    own["content-type"] = {"type": "string", "const": "application/json"}
    return {"type": "object", "properties": own, "required": list(own)}


def _result_headers() -> Schema:
    """Return the headers of a result."""
    headers = _document_headers(names.RESULT_TYPE)
    own = headers["properties"]
    own[names.STATE_HEADER] = {
        "type": "string",
        "description": "The worker's state, for its restart. Opaque to others.",
    }
    own[names.TOPICS_HEADER] = {
        "type": "string",
        "description": "The ids of the input topics to which that state belongs. Opaque to others.",
    }
    own |= _TRACED
    return headers


def _dead_letter() -> dict[str, Any]:
    also: dict[str, Schema] = {
        "content-type": {"type": "string", "const": "application/octet-stream"},
        "ce_originkey": {"type": "string", "description": "The record's key in base64, if it is not UTF-8."},
        "ce_originkeyed": {"type": "string", "const": "false", "description": "Present if the record had no key."},
    }
    headers = headers_schema(DeadLetter, names.DEAD_TYPE, also=also)
    headers["patternProperties"] = {
        f"^{names.ORIGINAL_HEADER_PREFIX}": {"type": "string"},
        f"^{names.ORIGINAL64_HEADER_PREFIX}": {"type": "string", "description": "base64"},
    }
    message = _message(
        "A dead letter: a record that could not be processed.", headers, {"type": "string", "format": "binary"}
    )
    message["contentType"] = "application/octet-stream"
    message["bindings"]["kafka"]["key"] = {"type": "string"}
    return message


def _redrive_mark() -> dict[str, Any]:
    message = _message(
        "A mark: the record of a dead letter is about to be redriven, or was.",
        headers_schema(RedriveMark, names.REDRIVE_TYPE),
        dict(_NOTHING),
    )
    message["bindings"]["kafka"]["key"] = dict(_NOTHING)
    return message


def _json_message(summary: str, ce_type: str, schema: str) -> dict[str, Any]:
    own = envelope(ce_type) | {"content-type": {"type": "string", "const": "application/json"}}
    headers = {"type": "object", "properties": own, "required": list(own)}
    message = _message(summary, headers, {"$ref": f"#/components/schemas/{schema}"}, "application/json")
    message["bindings"]["kafka"]["key"] = {"type": "string", "minLength": 1}
    return message


def _message(summary: str, headers: Schema, payload: Schema, content_type: str | None = None) -> dict[str, Any]:
    named = {} if content_type is None else {"contentType": content_type}
    return {
        "summary": summary,
        **named,
        "headers": headers,
        "payload": payload,
        "bindings": {"kafka": {"key": dict(_STREAM_KEY), "bindingVersion": "0.5.0"}},
    }
