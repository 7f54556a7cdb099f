"""Tell the format of subtitles by their content, and read them. The suffix of a file's name does not count.

Why not a library for all: pysubs2 takes the inner times of a WebVTT cue for cues and rejects SubRip without hours;
webvtt-py takes `->` for words; FFmpeg gives up at the first bad block of WebVTT; and none of them says what it has
skipped. FFmpeg reads what is left: SAMI, MicroDVD and MPL2.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

import av

from triptych.producers.session_timeline import ticks_to_ns
from triptych.producers.subtitles.codecs import text_of
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.markup import from_ass_text
from triptych.producers.subtitles.timed_blocks import ParsedCues, SkippedBlock, has_times, is_webvtt, parse_timed_text
from triptych.producers.subtitles.timed_text_xml import is_ttml, parse_scc, parse_ttml
from triptych.units import NS_PER_MS

DEFAULT_FRAME_RATE: Final = Fraction(24_000, 1_001)
"""The frame rate of MicroDVD where neither the file nor a video states one."""

_ASS: Final = re.compile(r"^\s*(?:\[Script Info\]|\[Events\]|Dialogue:)", re.IGNORECASE | re.MULTILINE)
_SCC: Final = re.compile(r"\s*Scenarist_SCC")
_SAMI: Final = re.compile(r"\s*(?:<!--.*?-->\s*)*<SAMI", re.IGNORECASE | re.DOTALL)
_MICRODVD: Final = re.compile(r"\{ *(\d+) *\}\{ *(\d*) *\}.*")
_MPL2: Final = re.compile(r"\[ *\d+ *\]\[ *\d* *\].*")
_ASS_TIME: Final = re.compile(r"\s*(\d{1,4}):(\d{1,2}):(\d{1,2})[.,:](\d{1,3})\s*")
_ASS_FIELDS: Final = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")


def parse_subtitles(text: str, frame_rate: Fraction | None = None) -> ParsedCues:
    """Return the cues of subtitles of any known format, and what was skipped.

    Args:
        text: the content of a subtitle file.
        frame_rate: that of the video, for formats that count frames.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    parsed = ParsedCues(())
    if is_webvtt(text):
        parsed = parse_timed_text(text)
    elif is_ttml(text):
        parsed = parse_ttml(text)
    elif _SCC.match(text):
        parsed = parse_scc(text.lstrip())
    elif _SAMI.match(text):
        parsed = _parse_by_ffmpeg(text, "sami")
    elif _ASS.search(text) and not has_times(text):
        parsed = _parse_ass(text)
    elif _is_made_of(_MICRODVD, text):
        parsed = _parse_microdvd(text, frame_rate or DEFAULT_FRAME_RATE)
    elif _is_made_of(_MPL2, text):
        parsed = _parse_lines(text, _MPL2, "mpl2", "[10][20]")
    else:
        parsed = parse_timed_text(text)
    return parsed


def _is_made_of(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether the first lines that are not empty have a certain form, all but one."""
    lines = [line for line in text.split("\n", 50)[:50] if line.strip()][:5]
    return bool(lines) and sum(pattern.fullmatch(line.strip()) is not None for line in lines) >= max(1, len(lines) - 1)


def _parse_microdvd(text: str, frame_rate: Fraction) -> ParsedCues:
    first = next((match for line in text.split("\n") if (match := _MICRODVD.fullmatch(line.strip()))), None)
    states_rate = first is not None and re.fullmatch(r"\{ *[01] *\}\{ *[01] *\}\s*[\d.]+\s*", first.group()) is not None
    prefix = "" if states_rate else f"{{1}}{{1}}{float(frame_rate):.6f}\n"
    return _parse_lines(text, _MICRODVD, "microdvd", "{10}{20}", prefix=prefix)


def _parse_lines(
    text: str, pattern: re.Pattern[str], format_name: str, example: str, *, prefix: str = ""
) -> ParsedCues:
    """Return the cues of a format that has one cue in each line."""
    good, skipped = [], []
    for number, line in enumerate(text.replace("\0", "").split("\n"), start=1):
        if pattern.fullmatch(line.strip()):
            good.append(line.strip())
        elif line.strip():
            skipped.append(SkippedBlock(number, line, f"it does not begin as in {example}"))
    return ParsedCues(_parse_by_ffmpeg(prefix + "\n".join(good) + "\n", format_name).cues, tuple(skipped))


def _parse_by_ffmpeg(text: str, format_name: str) -> ParsedCues:
    try:
        with av.open(io.BytesIO(text.encode()), "r", format=format_name) as container:
            return ParsedCues(tuple(_demuxed(container)))
    except av.error.FFmpegError as error:
        return ParsedCues((), (SkippedBlock(1, text.split("\n", 1)[0], f"FFmpeg: {error.strerror}"),))


def _demuxed(container: av.container.InputContainer) -> Iterator[Cue]:
    for stream in container.streams.subtitles[:1]:
        for packet in container.demux(stream):
            words = text_of(packet, stream) if packet.size and packet.pts is not None else ""
            if words and packet.pts is not None:
                start_ns = ticks_to_ns(packet.pts, packet.time_base)
                yield Cue(start_ns, start_ns + ticks_to_ns(packet.duration or 0, packet.time_base), words)


def _parse_ass(text: str) -> ParsedCues:
    fields: Sequence[str] = _ASS_FIELDS
    cues, skipped, blank = [], [], []
    for number, line in enumerate(text.replace("\0", "").split("\n"), start=1):
        name, _, value = line.strip().partition(":")
        if name.lower() == "format" and "text" in value.lower():
            fields = [field.strip().lower() for field in value.split(",")]
        elif name.lower() == "dialogue":
            cue = _ass_cue(fields, value)
            if cue is None:
                skipped.append(SkippedBlock(number, line, f"expected {', '.join(fields)}"))
            elif cue.text:
                cues.append(cue)
            else:
                blank.append(SkippedBlock(number, line, "it has no text"))
    return ParsedCues(tuple(cues), tuple(skipped), tuple(blank))


def _ass_cue(fields: Sequence[str], value: str) -> Cue | None:
    values = value.split(",", len(fields) - 1)
    if len(values) < len(fields) or not {"start", "end", "text"} <= set(fields):
        return None
    event = dict(zip(fields, values, strict=True))
    start_ns, end_ns = _ass_time_ns(event["start"]), _ass_time_ns(event["end"])
    if start_ns is None or end_ns is None:
        return None
    return Cue(start_ns, end_ns, from_ass_text(event["text"]))


def _ass_time_ns(text: str) -> int | None:
    match = _ASS_TIME.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups()
    whole_ms = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000
    return (whole_ms + int(fraction.ljust(3, "0"))) * NS_PER_MS
