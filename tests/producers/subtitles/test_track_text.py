"""Tracks whose text is not UTF-8, TTML and CEA-608 tracks of MP4 and QuickTime files."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from structlog.testing import capture_logs

from triptych.schemas.records import InputRecord, SubtitleCue

S = 1_000_000_000
LINES = ("Привет, мир!", "Как у тебя дела?", "Пойдём домой.")  # noqa: RUF001
RATE = 25
SCC = (
    "Scenarist_SCC V1.0\n\n00:00:00:10\t94ae 94ae 9420 9420 9470 9470 c8e5 ecec ef80 942f 942f\n\n"
    "00:00:01:00\t942c 942c\n\n00:00:01:10\t94ae 94ae 9420 9420 9470 9470 c8e9 942f 942f\n\n00:00:02:00\t942c 942c\n"
)
ASS_HEADER = "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: A\n\n[Events]\nFormat: Text\n"

Play = Callable[..., Iterable[InputRecord]]


def film_with(path: Path, source: bytes, source_format: str) -> Path:
    """Write a video of 3 s with the subtitles of another file, whose bytes are not changed."""
    with av.open(str(path), "w") as container, av.open(io.BytesIO(source), "r", format=source_format) as subtitles:
        video = add_video(container)
        track = container.add_stream_from_template(subtitles.streams.subtitles[0])
        container.start_encoding()
        for packet in subtitles.demux(subtitles.streams.subtitles[0]):
            if packet.size:
                packet.stream = track
                container.mux(packet)
        write_frames(container, video)
    return path


def add_video(container: av.container.OutputContainer) -> Any:  # noqa: ANN401 - PyAV's stub is too narrow
    """Add a video track."""
    video: Any = container.add_stream("mpeg4", rate=RATE)
    video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
    return video


def write_frames(container: av.container.OutputContainer, video: Any) -> None:  # noqa: ANN401 - as above
    """Write 3 s of video."""
    for number in range(3 * RATE):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, RATE)
        container.mux(video.encode(frame))
    container.mux(video.encode(None))


def film_with_packets(path: Path, packets: Iterable[bytes], *, sample_entry: bytes | None = None) -> Path:
    """Write an MP4 file whose text track has these packets, one each second, and perhaps another sample entry."""
    with av.open(str(path), "w") as container:
        video = add_video(container)
        track: Any = container.add_stream("mov_text")
        track.codec_context.subtitle_header = ASS_HEADER.encode()
        for number, content in enumerate(packets):
            packet: Any = av.Packet(content)
            packet.stream, packet.time_base = track, Fraction(1, 1000)
            packet.pts = packet.dts = number * 1000
            packet.duration = 1000
            container.mux(packet)
        write_frames(container, video)
    if sample_entry is not None:
        content = bytearray(path.read_bytes())
        at = content.index(b"tx3g") - 4
        size = int.from_bytes(content[at : at + 4], "big")
        padding = size - len(sample_entry)
        content[at : at + size] = sample_entry + struct.pack(">I4s", padding, b"free") + bytes(padding - 8)
        path.write_bytes(content)
    return path


def cues_of(records: Iterable[InputRecord]) -> list[tuple[float, str]]:
    """Return the start in seconds, from the first frame on, and the text of each cue."""
    known = list(records)
    origin_ns = known[0].start_ns
    return [(round((cue.start_ns - origin_ns) / S, 2), cue.text) for cue in known if isinstance(cue, SubtitleCue)]


def test_a_matroska_track_that_is_not_utf_8_is_read(tmp_path: Path, play: Play) -> None:
    """The encoding is assumed from all packets so far, and logged."""
    srt = "".join(f"{n + 1}\n00:00:0{n},100 --> 00:00:0{n},900\n{line}\n\n" for n, line in enumerate(LINES))
    media = film_with(tmp_path / "film.mkv", srt.encode("cp1251"), "srt")

    with capture_logs() as logs:
        records = play(media)

    assert [text for _, text in cues_of(records)] == list(LINES)
    assert [(log["event"], log["encoding"]) for log in logs] == [("subtitles_encoding_assumed", "cp1251")]


def test_one_wrong_byte_of_a_utf_8_track_is_replaced_and_counted(tmp_path: Path, play: Play) -> None:
    """The other packets tell that the track is UTF-8."""
    srt = "".join(f"{n + 1}\n00:00:0{n},100 --> 00:00:0{n},900\n{line}\n\n" for n, line in enumerate(LINES))
    media = film_with(tmp_path / "film.mkv", srt.encode() + b"\xff\n", "srt")

    with capture_logs() as logs:
        records = play(media)

    assert [text for _, text in cues_of(records)] == [*LINES[:2], f"{LINES[2]}\n\ufffd"]
    assert [log["characters"] for log in logs if log["event"] == "subtitles_undecodable"] == [1]


def test_the_text_of_mp4_that_is_not_utf_8_is_read(tmp_path: Path, play: Play) -> None:
    """Its packets begin with the length of the text."""
    encoded = [line.encode("cp1251") for line in LINES]
    packets = [len(text).to_bytes(2, "big") + text for text in encoded]

    assert [text for _, text in cues_of(play(film_with_packets(tmp_path / "film.mp4", packets)))] == list(LINES)


def test_a_ttml_track_of_mp4_is_read(tmp_path: Path, play: Play) -> None:
    """Each packet is a document, with the times of the track."""
    entry = struct.pack(">I4s6xH", 44, b"stpp", 1) + b"http://www.w3.org/ns/ttml\0\0\0"
    documents = [
        f'<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="en"><body><div><p begin="{n}.5s" end="{n}.9s">line {n}</p>'
        "</div></body></tt>".encode()
        for n in range(2)
    ]

    with capture_logs() as logs:
        records = play(film_with_packets(tmp_path / "film.mp4", documents, sample_entry=entry))

    assert cues_of(records) == [(0.5, "line 0"), (1.5, "line 1")]
    assert logs == []


def test_an_unknown_track_of_mp4_is_named_as_such(tmp_path: Path, play: Play) -> None:
    """It is not called a bitmap, and announces no subtitles."""
    entry = struct.pack(">I4s6xH", 44, b"stpp", 1) + b"http://www.w3.org/ns/ttml\0\0\0"

    with capture_logs() as logs:
        records = list(play(film_with_packets(tmp_path / "film.mp4", [b"?", b"?"], sample_entry=entry)))

    assert [(log["event"], log["reason"]) for log in logs] == [
        ("subtitles_skipped", "neither TTML nor a format that FFmpeg decodes")
    ]
    assert {record.tracks for record in records} == {("video",)}


@pytest.mark.parametrize("name", ["film.mov"])
def test_a_caption_track_of_quicktime_is_read(tmp_path: Path, play: Play, name: str) -> None:
    """CEA-608 in a track of its own."""
    media = film_with(tmp_path / name, SCC.encode(), "scc")

    with capture_logs() as logs:
        records = list(play(media))

    assert [text for _, text in cues_of(records)] == ["Hello", "Hi"]
    assert [start for start, _ in cues_of(records)] == pytest.approx([0.33, 1.33], abs=0.05)
    assert [log["event"] for log in logs] == []
