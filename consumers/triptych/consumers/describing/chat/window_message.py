"""A window as the parts of a chat message: pictures with their times, cues, sounds and measurements in order. No I/O.

Everything from the feed is inside `<window>`, as JSON whose strings cannot contain `<` or `>`: no text of the feed can
close the block, or look like a part of the instructions.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from triptych.schemas.results import Result
from triptych.units import NS_PER_S

MAX_CUE_CHARACTERS: Final = 4_000
"""The characters of all cues of a window that are sent; the rest is cut, and the message says so."""
_MAX_DETECTIONS: Final = 40
_DIGITS: Final = 3
_BEGIN: Final = "<window>"
_END: Final = "</window>"
_ESCAPES: Final = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029\u202a\u202b\u202c"}
_ESCAPES.update({number: f"\\u{number:04x}" for number in (*range(0x7F, 0xA0), *range(0x2066, 0x206A), 0x202D, 0x202E)})

Part = dict[str, Any]
"""A content part of a chat message: a text, a picture or a sound."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded image at the instant `time_ns`; `width` and `height` are those of the picture as it was sent."""

    time_ns: int
    content_type: str
    data: bytes
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class SentCue:
    """A cue: its text, its interval of event time, and whether a model has transcribed it."""

    start_ns: int
    end_ns: int
    text: str
    generated: bool = False


@dataclass(frozen=True, slots=True)
class WindowMedia:
    """The media of a window that a model is given. `wav` is its sound, `missing` what no longer exists."""

    pictures: tuple[Picture, ...] = ()
    cues: tuple[SentCue, ...] = ()
    wav: bytes | None = None
    missing: tuple[str, ...] = ()


def window_parts(result: Result, media: WindowMedia, *, pictures: bool, audio: bool) -> list[Part]:
    """Return the content parts of a window, from its first to its last moment.

    Args:
        result: the result, with everything that was measured.
        media: its media.
        pictures: whether the model takes pictures. Without, their lines remain, with what was detected in them.
        audio: whether the model takes sound.
    """
    message = _Message()
    message.line({"window": _summary(result)})
    moments: list[Picture | SentCue] = [*media.pictures, *_cut(media.cues)]
    for moment in sorted(moments, key=_start_ns):
        if isinstance(moment, Picture):
            message.line(_picture_line(moment, result, sent=pictures))
            if pictures:
                message.part({"type": "image_url", "image_url": {"url": _data_url(moment.content_type, moment.data)}})
        else:
            message.line(_cue_line(moment, result))
    if media.cues and sum(len(cue.text) for cue in media.cues) > MAX_CUE_CHARACTERS:
        message.line({"note": f"the cues are cut after {MAX_CUE_CHARACTERS} characters"})
    if audio and media.wav is not None:
        message.line({"sound": "the sound of the whole window"})
        sound = {"data": base64.b64encode(media.wav).decode("ascii"), "format": "wav"}
        message.part({"type": "input_audio", "input_audio": sound})
    return message.parts()


def escaped_json(value: object) -> str:
    """Return a value as JSON in one line. Its strings contain no `<`, `>`, `&`, control or direction character."""
    return json.dumps(value, ensure_ascii=False).translate(_ESCAPES)


@dataclass(slots=True)
class _Message:
    """Collects lines and other parts; adjacent lines become one text."""

    _lines: list[str] = field(default_factory=lambda: [_BEGIN])
    _parts: list[Part] = field(default_factory=list)

    def line(self, value: dict[str, Any]) -> None:
        self._lines.append(escaped_json(value))

    def part(self, part: Part) -> None:
        self._end_text()
        self._parts.append(part)

    def parts(self) -> list[Part]:
        self._lines += [_END, "Describe the window."]
        self._end_text()
        return self._parts

    def _end_text(self) -> None:
        if self._lines:
            self._parts.append({"type": "text", "text": "\n".join(self._lines)})
            self._lines = []


def _summary(result: Result) -> dict[str, Any]:
    observed, quality = result.observations, result.quality
    started = datetime.fromtimestamp(result.start_ns / NS_PER_S, UTC)
    found: dict[str, Any] = {
        "stream": result.stream,
        "start": started.isoformat(timespec="milliseconds"),
        "seconds": _seconds(result.end_ns, result.start_ns),
        "video": result.modalities.video.state,
        "audio": result.modalities.audio.state,
        "subtitles": result.modalities.subtitles.state,
        "picture_labels": {label.label: round(label.score, _DIGITS) for label in observed.visual},
        "sounds": {label.label: round(label.score, _DIGITS) for label in observed.sound},
        "speech_share": observed.speech_share,
        "loudness_lufs": observed.loudness_lufs,
        "language": observed.language,
        "counts": {label: {"median": n.median, "largest": n.largest} for label, n in (result.counts or {}).items()},
        "prompt_scores": {name: round(match.score, _DIGITS) for name, match in (result.matches or {}).items()},
        "quality": list(quality.flags) if quality is not None else [],
        "novelty": result.novelty,
    }
    return {name: value for name, value in found.items() if value not in (None, {}, [])}


def _picture_line(picture: Picture, result: Result, *, sent: bool) -> dict[str, Any]:
    line: dict[str, Any] = {"picture_at_s": _seconds(picture.time_ns, result.start_ns)}
    if not sent:
        line["picture"] = "not sent: the model takes no pictures"
    detected = [detection for detection in result.detections if detection.time_ns == picture.time_ns]
    if detected:
        by_label: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for detection in sorted(detected, key=lambda detection: -detection.score)[:_MAX_DETECTIONS]:
            by_label[detection.label].append(_box(detection.score, detection.box, picture))
        line["detected"] = by_label
    return line


def _box(score: float, box: tuple[int, int, int, int], picture: Picture) -> dict[str, Any]:
    """Return score and place; the place in shares of the picture's size, which holds whatever size the model sees."""
    found: dict[str, Any] = {"score": round(score, _DIGITS)}
    if picture.width and picture.height:
        sizes = (picture.width, picture.height, picture.width, picture.height)
        found["left_top_right_bottom"] = [round(edge / size, _DIGITS) for edge, size in zip(box, sizes, strict=True)]
    return found


def _cue_line(cue: SentCue, result: Result) -> dict[str, Any]:
    kind = "transcribed_speech" if cue.generated else "subtitle"
    times = {"from_s": _seconds(cue.start_ns, result.start_ns), "to_s": _seconds(cue.end_ns, result.start_ns)}
    return times | {kind: cue.text}


def _cut(cues: Sequence[SentCue]) -> Iterable[SentCue]:
    left = MAX_CUE_CHARACTERS
    for cue in cues:
        if left <= 0:
            return
        yield SentCue(cue.start_ns, cue.end_ns, cue.text[:left], cue.generated)
        left -= len(cue.text)


def _start_ns(moment: Picture | SentCue) -> int:
    return moment.time_ns if isinstance(moment, Picture) else moment.start_ns


def _seconds(moment_ns: int, start_ns: int) -> float:
    return round((moment_ns - start_ns) / NS_PER_S, _DIGITS)


def _data_url(content_type: str, data: bytes) -> str:
    return f"data:{content_type};base64,{base64.b64encode(data).decode('ascii')}"
