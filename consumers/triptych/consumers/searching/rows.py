"""What the index keeps of results and descriptions: one row for each part of a window. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from triptych.consumers.searching.query_words import with_plain_apostrophes
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.perception.shown import shown_counts, shown_labels, shown_sounds
from triptych.schemas.perception.vectors import Vectors, decode_vector
from triptych.schemas.results import Result

Part = Literal["video", "audio", "subtitles", "prompts", "quality", "description"]
RESULT_PARTS: Final[tuple[Part, ...]] = ("video", "audio", "subtitles", "prompts", "quality")
"""The parts that come from the result. The description comes from a topic of its own."""
WINDOW_PARTS: Final[tuple[Part, ...]] = (*RESULT_PARTS, "description")
"""All parts of a window. It has one row at most of each."""

_SPEECH_SHARE: Final = 0.3
"""Least share of speech of a window that is indexed as speech."""
_MATCH_SCORE: Final = 0.5
"""Least score of a prompt that is indexed as matched."""
_KEY: Final = re.compile(r"(?P<window>(?P<stream>.+)/(?P<start_ns>-?\d+)-(?P<end_ns>-?\d+))\|(?P<part>\w+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One part of a window, as the index stores it.

    Attributes:
        window: id of the window, which all revisions of its result share.
        part: which part.
        result: id of the result, for `triptych evidence`.
        stream: its stream.
        start_ns: start of the window in event time.
        end_ns: its end.
        published_ns: when the result or the description was published.
        text: words to search; empty where the part has none.
        vector: vector of the part in the space of the index, of length 1; None where there is none.
        details: what is shown of the part, as JSON values.
    """

    window: str
    part: Part
    result: str
    stream: str
    start_ns: int
    end_ns: int
    published_ns: int
    text: str = ""
    vector: tuple[float, ...] | None = None
    details: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """The key of the row: a later row with it replaces this one."""
        return row_key(self.window, self.part)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not self.text and self.vector is None and not self.details

    def details_json(self) -> str:
        """Return the details as compact JSON; empty if there are none."""
        return json.dumps(self.details, ensure_ascii=False, separators=(",", ":")) if self.details else ""


def row_key(window: str, part: Part) -> str:
    """Return the key of the row of a part of a window."""
    return f"{window}|{part}"


def place_of_key(key: str) -> dict[str, Any] | None:
    """Return window, part, stream, start_ns and end_ns of the row with a key, by their names.

    None if the window has another id than the contract gives it.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    return found.groupdict() | {"start_ns": int(found["start_ns"]), "end_ns": int(found["end_ns"])}


def vector_space(result: Result) -> str | None:
    """Return the name of the space of a result's vectors, None if it has none."""
    return None if result.vectors is None else result.vectors.space


def index_rows(result: Result, space: str | None) -> list[IndexRow]:
    """Return the rows of a result: those that say something.

    A revision also returns the empty ones. They replace the rows of the revision before.

    Args:
        result: the result.
        space: the space of the index. Vectors of another space are left out.
    """
    vectors = result.vectors if result.vectors is not None and result.vectors.space == space else None
    parts: dict[Part, tuple[str, str | None, dict[str, Any]]] = {
        "video": _seen(result, None if vectors is None else _picture_vector(result, vectors)),
        "audio": _heard(result, None if vectors is None else vectors.audio),
        "subtitles": _said(result, None if vectors is None else _words_vector(result, vectors)),
        "prompts": _matched(result),
        "quality": _flagged(result),
    }
    rows = [
        IndexRow(
            result.window,
            part,
            result.id,
            result.stream,
            result.start_ns,
            result.end_ns,
            result.published_ns,
            with_plain_apostrophes(text),
            None if vector is None else decode_vector(vector),
            details,
        )
        for part, (text, vector, details) in parts.items()
    ]
    return [row for row in rows if result.revision or not row.is_empty]


def description_row(description: Description) -> IndexRow:
    """Return the row of a description."""
    answers = [answer.answer for answer in description.answers]
    text = " ".join([description.title, description.what_happens, *description.who, *answers])
    return IndexRow(
        description.window,
        "description",
        description.result,
        description.stream,
        description.start_ns,
        description.end_ns,
        description.published_ns,
        with_plain_apostrophes(text),
        details={"title": description.title, "what_happens": description.what_happens},
    )


def _picture_vector(result: Result, vectors: Vectors) -> str | None:
    """Return the vector of the pictures. In a space of pictures and texts it is `fused`, and is not repeated."""
    has_pictures = result.modalities.video.used > 0
    return vectors.video or (vectors.fused if has_pictures else None)


def _words_vector(result: Result, vectors: Vectors) -> str | None:
    """Return the vector of the words. In such a space it is `fused` in a window without pictures."""
    has_words_only = bool(result.observations.words) and not result.modalities.video.used and vectors.audio is None
    return vectors.subtitles or (vectors.fused if has_words_only else None)


def _seen(result: Result, vector: str | None) -> tuple[str, str | None, dict[str, Any]]:
    labels = [seen.label for seen in shown_labels(result.observations)]
    counts = shown_counts(result)
    people = ["person"] if counts.get("people") else []
    details = {name: value for name, value in (("labels", labels), ("counts", counts)) if value}
    return " ".join([*labels, *counts, *people]), vector, details


def _heard(result: Result, vector: str | None) -> tuple[str, str | None, dict[str, Any]]:
    sounds = [heard.label for heard in shown_sounds(result.observations)]
    if (result.observations.speech_share or 0.0) >= _SPEECH_SHARE:
        sounds.append("speech")
    return " ".join(sounds), vector, {"sounds": sounds} if sounds else {}


def _said(result: Result, vector: str | None) -> tuple[str, str | None, dict[str, Any]]:
    words = result.observations.words
    cues = [{"text": cue.text, "start_ns": cue.start_ns, "end_ns": cue.end_ns} for cue in words]
    language = {"language": result.observations.language} if cues and result.observations.language else {}
    return " ".join(" ".join(cue.text.split()) for cue in words), vector, {"cues": cues, **language} if cues else {}


def _matched(result: Result) -> tuple[str, None, dict[str, Any]]:
    matched = {
        name: round(match.score, 3) for name, match in (result.matches or {}).items() if match.score >= _MATCH_SCORE
    }
    return " ".join(matched), None, {"matches": matched} if matched else {}


def _flagged(result: Result) -> tuple[str, None, dict[str, Any]]:
    """Return the flags of the quality. They have no words: who searches for something black means something else."""
    flags = [] if result.quality is None else list(result.quality.flags)
    return "", None, {"flags": flags} if flags else {}
