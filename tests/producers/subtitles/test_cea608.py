"""Captions embedded in the video: text, spans and watermarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import av
from av.sidedata.sidedata import Type as SideDataType

from triptych.producers.session_timeline import ticks_to_ns
from triptych.producers.subtitles.cea608 import MAX_HOLD_NS, CaptionReader
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.markup import from_ass_event
from triptych.schemas.records import InputRecord, SubtitleCue

MS = 1_000_000
S = 1_000_000_000
FRAME_NS = 40 * MS

RESUME_LOADING, ROLL_UP_2, RESUME_DIRECT = b"\x14\x20", b"\x14\x25", b"\x14\x29"
ERASE_SCREEN, RETURN, SHOW, LAST_ROW = b"\x14\x2c", b"\x14\x2d", b"\x14\x2f", b"\x14\x70"


class SideData(bytes):
    """The caption bytes of one frame."""

    type = SideDataType.A53_CC


@dataclass
class Frame:
    """The attributes of a frame that the reader uses."""

    side_data: list[SideData]


def odd(byte: int) -> int:
    """Return the byte with its parity bit."""
    return byte if byte.bit_count() % 2 else byte | 0x80


def pairs(*commands: bytes) -> list[bytes]:
    """Return the byte pairs of control codes and text, one for each frame."""
    padded = (command if len(command) % 2 == 0 else command + b"\x00" for command in commands)
    return [command[at : at + 2] for command in padded for at in range(0, len(command), 2)]


def show(reader: CaptionReader, at: int, *commands: bytes) -> int:
    """Feed commands from this frame on; return the number of the next frame."""
    for pair in pairs(*commands):
        content = SideData(bytes([0xFC, odd(pair[0]), odd(pair[1])]))
        reader.feed(cast("av.VideoFrame", Frame([content])), at * FRAME_NS)
        at += 1
    return at


def stay(reader: CaptionReader, at: int, until: int) -> int:
    """Feed frames without new captions, up to this frame."""
    for number in range(at, until):
        reader.feed(cast("av.VideoFrame", Frame([SideData(b"\xfc\x80\x80")])), number * FRAME_NS)
    return until


def texts(cues: list[Cue]) -> list[str]:
    """Return the text of the cues."""
    return [cue.text for cue in cues]


def test_captions_are_those_that_ffmpeg_reads(sample: Callable[[str], Path], play: Callable[..., Any]) -> None:
    """The text is the same, and each caption ends when FFmpeg's own filter returns it."""
    path = sample("sintel_608_10s.ts")
    found: list[tuple[str, int]] = []
    with av.open(f"movie={path}[out+subcc]", "r", format="lavfi") as reference:
        for packet in reference.demux(reference.streams.subtitles[0]):
            found += [
                (from_ass_event(item.ass.decode()), ticks_to_ns(packet.pts, packet.time_base))
                for item in (packet.decode() if packet.size else ())
            ]
    records: list[InputRecord] = play(path)

    cues = [record for record in records if isinstance(record, SubtitleCue)]
    first_frame_ns = 119 * MS  # in the session, whose audio begins first; at 10 s of the file
    assert len(found) == 2  # the filter does not return what is on the screen at the end
    assert [(cue.text, round((cue.end_ns - first_frame_ns + 10 * S) / MS)) for cue in cues[:2]] == [
        (text, round(end_ns / MS)) for text, end_ns in found
    ]
    assert [(cue.start_ns // MS, cue.end_ns // MS) for cue in cues] == [(1_119, 4_119), (5_119, 7_077), (7_077, 10_119)]
    assert cues[2].text == "█ █ █"  # nosec: the characters of the sample


def test_a_pop_on_caption_has_the_span_in_which_it_was_shown() -> None:
    """The watermark is held only while it is on the screen."""
    reader = CaptionReader(0)
    at = show(reader, 0, RESUME_LOADING, LAST_ROW, b"Hello")
    assert reader.watermark_ns == reader.read_ns - MS
    shown = at
    at = show(reader, at, SHOW)
    at = stay(reader, at, 50)
    assert reader.watermark_ns == shown * FRAME_NS - MS
    show(reader, at, ERASE_SCREEN)

    assert list(reader.take()) == [Cue(shown * FRAME_NS, 50 * FRAME_NS, "Hello")]
    assert reader.watermark_ns == reader.read_ns - MS


def test_roll_up_lines_come_one_after_another() -> None:
    """Each comes when the next line pushes it, and none before the watermark."""
    reader = CaptionReader(0)
    at = show(reader, 0, ROLL_UP_2, RETURN, LAST_ROW, b"one")
    cues: list[Cue] = []
    for line in (b"two", b"three"):
        watermark_ns = reader.watermark_ns
        at = show(reader, stay(reader, at, at + 25), RETURN, LAST_ROW, line)
        cues += reader.take()
        assert cues[-1].start_ns >= watermark_ns
    reader.finish(at * FRAME_NS)
    cues += reader.take()

    assert [text.split("\n")[-1] for text in texts(cues)] == ["one", "two", "three"]
    assert cues[-1].end_ns == at * FRAME_NS


def test_paint_on_captions_are_read() -> None:
    """Letter by letter, until they are erased."""
    reader = CaptionReader(0)
    at = show(reader, 0, RESUME_DIRECT, LAST_ROW, b"painted")
    show(reader, stay(reader, at, 40), ERASE_SCREEN)
    cues = list(reader.take())
    reader.finish(60 * FRAME_NS)
    cues += reader.take()

    assert texts(cues) == ["painted"]


def test_a_caption_that_stays_does_not_hold_the_watermark_for_ever() -> None:
    """After ten seconds the watermark advances."""
    reader = CaptionReader(0)
    at = show(reader, 0, RESUME_LOADING, LAST_ROW, b"Hello", SHOW)
    stay(reader, at, 500)

    assert reader.watermark_ns == reader.read_ns - MAX_HOLD_NS


def test_random_bytes_give_no_captions() -> None:
    """They raise nothing."""
    reader = CaptionReader(0)
    reader.feed(cast("av.VideoFrame", Frame([SideData(b"\xff" * 31)])), 0)
    reader.finish(S)

    assert list(reader.take()) == []
