"""A file as a session: records, event times and watermarks."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from triptych.producers.session.playback import Playback
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.schemas.errors import UsageError
from triptych.schemas.names import Modality
from triptych.schemas.records import AudioChunk, End, InputRecord, Progress, SubtitleCue, VideoFrame

Play = Callable[..., list[InputRecord]]
MakeMedia = Callable[..., Path]
Sample = Callable[[str], Path]

S = 1_000_000_000
MS = 1_000_000
EVERY_40_MS = range(0, 2_000, 40)
SRT = """1
00:00:00,500 --> 00:00:01,000
One

2
00:00:01,500 --> 00:00:09,000
Two

3
00:00:30,000 --> 00:00:31,000
Never

"""


def of_track(records: list[InputRecord], modality: Modality) -> list[InputRecord]:
    """Return the records of one track."""
    return [record for record in records if record.modality == modality]


def starts(records: list[InputRecord], kind: type[InputRecord]) -> list[int]:
    """Return the start times of the records of one type, in milliseconds."""
    return [record.start_ns // MS for record in records if isinstance(record, kind)]


def audio(seconds: float) -> NDArray[np.int16]:
    """Return audio at 16 kHz, int16 [1, N]."""
    return np.full((1, round(seconds * 16_000)), 100, np.int16)


def check_contract(records: list[InputRecord], tracks: tuple[Modality, ...]) -> None:
    """Assert what holds for every session of every file."""
    assert {record.tracks for record in records} == {tracks}
    assert len({record.session for record in records}) == 1
    assert len({record.id for record in records}) == len(records)
    assert [type(record) for record in records[-len(tracks) :]] == [End] * len(tracks)
    for modality in tracks:
        track = of_track(records, modality)
        media = [record for record in track if not isinstance(record, Progress | End)]
        assert [record.seq for record in media] == list(range(len(media)))
        assert sum(isinstance(record, End) for record in track) == 1
        if modality != "subtitles":
            assert track[0] is media[0]
        watermark_ns = 0
        for record in track:
            assert record.next_ns is not None
            assert record.next_ns >= watermark_ns
            assert isinstance(record, Progress | End) or record.start_ns >= watermark_ns
            watermark_ns = record.next_ns


@pytest.mark.parametrize(
    ("name", "tracks"),
    [
        ("librivox_city_15s.mkv", ("video", "audio", "subtitles")),
        ("bbb_5s_51ch.mp4", ("video", "audio")),
        ("sintel_608_10s.ts", ("video", "audio", "subtitles")),
    ],
)
@pytest.mark.parametrize("loops", [1, 3])
def test_every_sample_keeps_the_contract(
    sample: Sample, play: Play, name: str, tracks: tuple[Modality, ...], loops: int
) -> None:
    """Played once and in a loop."""
    check_contract(play(sample(name), loops=loops), tracks)


def test_the_sample_with_subtitles_is_sent_completely(sample: Sample, play: Play) -> None:
    """Its 15.2 s hold 61 grid instants, 31 chunks and 3 cues, and nothing starts after them."""
    records = play(sample("librivox_city_15s.mkv"))

    cues = [record for record in records if isinstance(record, SubtitleCue)]
    assert starts(records, VideoFrame)[:5] == [0, 280, 520, 760, 1_000]
    assert len(starts(records, VideoFrame)) == 61
    assert starts(records, AudioChunk) == list(range(0, 15_200, 500))
    assert [(cue.start_ns // MS, cue.end_ns // MS, cue.language) for cue in cues] == [
        (1_000, 3_990, "eng"),
        (5_190, 10_490, "eng"),
        (11_690, 14_980, "eng"),
    ]
    assert cues[1].text == "unless to be rather cold-hearted and rather selfish\nis to be ill-disposed."
    assert [(end.modality, end.start_ns // MS) for end in records if isinstance(end, End)] == [
        ("video", 15_200),
        ("audio", 15_200),
        ("subtitles", 14_980),
    ]
    assert max(record.start_ns for record in records) <= 15_200 * MS


def test_a_first_timestamp_other_than_zero_is_the_session_start(sample: Sample, play: Play) -> None:
    """A transport stream that begins at 9.88 s, its audio 119 ms before its video."""
    records = play(sample("sintel_608_10s.ts"))

    assert starts(records, AudioChunk)[0] == 0
    assert starts(records, VideoFrame)[0] == 119


def test_a_loop_is_one_session_whose_time_continues(make_media: MakeMedia, play: Play) -> None:
    """Each pass is as long as the file, the sequence numbers go on, and the tracks end once."""
    media = make_media(samples=audio(2))
    media.with_suffix(".srt").write_text(SRT)

    records = play(media, loops=3)

    check_contract(records, ("video", "audio", "subtitles"))
    assert starts(records, AudioChunk) == list(range(0, 6_000, 500))
    assert starts(records, SubtitleCue) == [500, 1_500, 2_500, 3_500, 4_500, 5_500]
    assert {record.start_ns for record in records if isinstance(record, End)} == {6 * S}


def test_files_with_audio_or_video_only_have_one_track(make_media: MakeMedia, play: Play) -> None:
    """A missing modality is not announced."""
    check_contract(play(make_media("audio.wav", video_codec=None, samples=audio(1))), ("audio",))
    check_contract(play(make_media("picture.mkv")), ("video",))


@pytest.mark.parametrize("size", [(65, 49), (2, 2), (1280, 720)])
def test_frames_of_any_size_are_sent(make_media: MakeMedia, play: Play, size: tuple[int, int]) -> None:
    """Odd sizes become even, and the JPEG files decode."""
    codec = "mpeg4" if size != (2, 2) else "ffv1"
    frames = [record for record in play(make_media(size=size, video_codec=codec)) if isinstance(record, VideoFrame)]

    image = cv2.imdecode(np.frombuffer(frames[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert (frames[0].width, frames[0].height) == (image.shape[1], image.shape[0])
    assert frames[0].height is not None
    assert frames[0].height <= 360


def test_a_varying_frame_rate_is_sampled_by_time(make_media: MakeMedia, play: Play) -> None:
    """The first frame at or after each instant is taken, at its own time. Progress is reported between far ones."""
    records = play(make_media(frame_ms=[0, 100, 200, 300, 1_700, 1_740, 1_780, 5_000], samples=audio(5)))

    check_contract(records, ("video", "audio"))
    assert starts(records, VideoFrame) == [0, 300, 1_700, 1_780, 5_000]
    gaps = np.diff([record.start_ns for record in of_track(records, "video")])
    assert max(gaps) <= 620 * MS


def test_a_rate_above_the_files_own_sends_every_frame_once(make_media: MakeMedia, play: Play) -> None:
    """No frame is invented."""
    assert starts(play(make_media(), fps=Fraction(120)), VideoFrame) == list(EVERY_40_MS)


def test_progress_is_reported_after_the_audio_stops(make_media: MakeMedia, play: Play) -> None:
    """At least every half second, with a watermark that follows the video."""
    records = play(make_media(frame_ms=range(0, 8_000, 40), samples=audio(2.2)))

    track = of_track(records, "audio")
    reports = [record for record in track if isinstance(record, Progress)]
    check_contract(records, ("video", "audio"))
    assert starts(records, AudioChunk)[-1] == 2_000
    assert starts(records, Progress)[0] <= 2_800
    assert max(np.diff([report.start_ns for report in reports])) <= 600 * MS
    assert reports[-1].watermark_ns >= 4_400 * MS
    assert track[-1].start_ns == 2_200 * MS


def test_audio_that_starts_late_has_no_progress_before_it(make_media: MakeMedia, play: Play) -> None:
    """No control record comes before the first chunk."""
    records = play(make_media(frame_ms=range(0, 6_000, 40), samples=audio(1), sound_at_ms=[4_000]))

    check_contract(records, ("video", "audio"))
    assert of_track(records, "audio")[0].start_ns == 4 * S


def test_audio_before_the_first_frame_is_sent(make_media: MakeMedia, play: Play) -> None:
    """The session begins with whichever track is first."""
    records = play(make_media(frame_ms=range(1_500, 3_000, 40), samples=audio(3)))

    check_contract(records, ("video", "audio"))
    assert starts(records, AudioChunk)[0] == 0
    assert starts(records, VideoFrame)[0] == 1_500


def test_the_watermark_of_a_cue_file_is_the_next_cue(make_media: MakeMedia, play: Play) -> None:
    """A cue that outlasts the file is cut off; one that begins after its end is not sent."""
    media = make_media(samples=audio(2))
    subtitle_file = media.parent / "words.srt"
    subtitle_file.write_text(SRT)

    records = play(media, subtitles=subtitle_file, language="eng")

    track = of_track(records, "subtitles")
    cues = [record for record in track if isinstance(record, SubtitleCue)]
    assert [(cue.start_ns, cue.end_ns, cue.text, cue.language) for cue in cues] == [
        (500 * MS, S, "One", "eng"),
        (1_500 * MS, 2 * S, "Two", "eng"),
    ]
    assert cues[0].next_ns == 1_500 * MS
    assert cues[1].next_ns == 30 * S
    assert track[-1].start_ns == 2 * S


def test_a_source_has_exactly_one_text_source(sample: Sample, play: Play, tmp_path: Path) -> None:
    """The named file, else the text track, else the sidecar file."""
    inside = "He was not an ill-disposed young man,"
    media = tmp_path / "film.mkv"
    media.write_bytes(sample("librivox_city_15s.mkv").read_bytes())
    media.with_suffix(".srt").write_text(SRT.replace("One", "Beside"))
    named = tmp_path / "named.vtt"
    named.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nNamed\n")

    assert first_text(play(media)) == inside
    assert first_text(play(media, subtitles=named)) == "Named"
    without = remux(media, tmp_path / "without.mkv", with_subtitles=False)
    assert first_text(play(without)) is None
    without.with_suffix(".ass").write_text("[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,Beside\n")
    assert first_text(play(without)) == "Beside"


def first_text(records: list[InputRecord]) -> str | None:
    """Return the first cue's text."""
    return next((record.text for record in records if isinstance(record, SubtitleCue)), None)


def remux(
    media: Path, target: Path, *, with_subtitles: bool = True, subtitle_file: Path | io.BytesIO | None = None
) -> Path:
    """Copy a file's tracks into another container, without its subtitles or with those of another file."""
    with av.open(str(media)) as source, av.open(str(target), "w") as container:
        inputs = [stream for stream in source.streams if with_subtitles or stream.type != "subtitle"]
        outputs = {stream.index: container.add_stream_from_template(stream) for stream in inputs}
        if subtitle_file is not None:
            with av.open(subtitle_file if isinstance(subtitle_file, io.BytesIO) else str(subtitle_file)) as cues:
                track = container.add_stream_from_template(cues.streams[0])
                container.start_encoding()
                for packet in cues.demux(cues.streams[0]):
                    if packet.size:
                        packet.stream = track
                        container.mux(packet)
        for packet in source.demux(inputs):
            if packet.size:
                packet.stream = outputs[packet.stream_index]
                container.mux(packet)
    return target


def test_webvtt_without_a_decoder_is_read_as_text(sample: Sample, play: Play, tmp_path: Path) -> None:
    """As mkvmerge writes it: the packet is the text."""
    subtitle_file = tmp_path / "words.vtt"
    subtitle_file.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Bob>Hi &amp; bye\n\n")
    media = remux(sample("bbb_5s_51ch.mp4"), tmp_path / "film.mkv", subtitle_file=subtitle_file)
    media.write_bytes(media.read_bytes().replace(b"D_WEBVTT/SUBTITLES", b"S_TEXT/WEBVTT".ljust(18, b"\0")))

    assert first_text(play(media)) == "Hi & bye"


def test_bitmap_subtitles_are_skipped_with_a_warning(sample: Sample, play: Play, tmp_path: Path) -> None:
    """The session announces no subtitles then."""
    media = remux(sample("bbb_5s_51ch.mp4"), tmp_path / "film.mkv", subtitle_file=io.BytesIO(pgs_subtitle()))

    with capture_logs() as logs:
        records = play(media)

    check_contract(records, ("video", "audio"))
    assert [(log["event"], log["codec"]) for log in logs] == [("subtitles_skipped", "pgssub")]


def pgs_subtitle() -> bytes:
    """Return a Blu-ray subtitle file with an empty bitmap."""
    composition = struct.pack(">HHBHBBBB", 1920, 1080, 0x10, 0, 0x80, 0, 0, 0)
    segments = [(0x16, composition), (0x80, b"")]
    return b"".join(
        b"PG" + struct.pack(">IIBH", 90_000 * second, 0, kind, len(payload)) + payload
        for second in (1, 2, 3)
        for kind, payload in segments
    )


@pytest.mark.parametrize(("degrees", "matrix"), [(90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1)), (270, (0, -1, 1, 0))])
def test_a_rotated_video_is_sent_upright(
    make_media: MakeMedia, play: Play, degrees: int, matrix: tuple[int, int, int, int]
) -> None:
    """As phones record it: the track header holds the clockwise rotation."""
    media = make_media("film.mp4", size=(64, 48))
    content = bytearray(media.read_bytes())
    a, b, c, d = (value * 65_536 for value in matrix)
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    media.write_bytes(content)

    frame = next(record for record in play(media) if isinstance(record, VideoFrame))

    assert (frame.width, frame.height) == ((64, 48) if degrees == 180 else (48, 64))


def test_frames_before_an_edit_list_are_decoded_but_not_sent(make_media: MakeMedia, play: Play) -> None:
    """After a cut between key frames, earlier frames are needed as references only."""
    media = make_media("film.mp4", frame_ms=range(-400, 1_000, 40), video_codec="libx264")

    records = play(media)

    frames = [record for record in records if isinstance(record, VideoFrame)]
    gray = cv2.imdecode(np.frombuffer(frames[0].data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert starts(records, VideoFrame) == [0, 280, 520, 760]
    assert abs(int(gray.mean()) - 5 * 10) < 8
    assert of_track(records, "video")[-1].start_ns == S


@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_a_truncated_file_is_sent_as_far_as_it_goes(sample: Sample, play: Play, tmp_path: Path, kept: float) -> None:
    """Its tracks end, and there is one warning."""
    whole = sample("librivox_city_15s.mkv").read_bytes()
    media = tmp_path / "cut.mkv"
    media.write_bytes(whole[: int(len(whole) * kept)])

    with capture_logs() as logs:
        records = play(media)

    check_contract(records, ("video", "audio", "subtitles"))
    assert 2 * S < of_track(records, "audio")[-1].start_ns < 14 * S
    assert [log["event"] for log in logs] == ["source_ended_early"]


def test_damaged_packets_lose_only_their_own_media(sample: Sample, play: Play, tmp_path: Path) -> None:
    """All other records keep their times."""
    content = bytearray(sample("librivox_city_15s.mkv").read_bytes())
    content[200_000:200_400] = bytes(400)
    media = tmp_path / "damaged.mkv"
    media.write_bytes(content)

    records = play(media)

    check_contract(records, ("video", "audio", "subtitles"))
    assert of_track(records, "video")[-1].start_ns == 15_200 * MS


@pytest.mark.parametrize("content", [b"no film at all\n" * 100, b"\0" * 1_000, b"\x1aE\xdf\xa3" + bytes(500)])
def test_a_file_without_media_is_a_usage_error(play: Play, tmp_path: Path, content: bytes) -> None:
    """The message is one line with the file's name."""
    media = tmp_path / "film.mkv"
    media.write_bytes(content)

    with pytest.raises(UsageError, match=r"film\.mkv: expected a media file") as caught:
        play(media)

    assert "\n" not in str(caught.value)


def test_an_mp4_without_its_index_is_a_usage_error(make_media: MakeMedia, play: Play) -> None:
    """Nothing in it can be read."""
    media = make_media("film.mp4", samples=audio(2), audio_codec="aac")
    media.write_bytes(media.read_bytes()[:2_000])

    with pytest.raises(UsageError, match=r"film\.mp4: expected a media file"):
        play(media)


def test_a_file_with_subtitles_only_is_a_usage_error(play: Play, tmp_path: Path) -> None:
    """It has neither video nor audio."""
    subtitle_file = tmp_path / "words.srt"
    subtitle_file.write_text(SRT)

    with pytest.raises(UsageError, match="neither"):
        play(subtitle_file)


def test_an_image_is_sent_once(play: Play, tmp_path: Path) -> None:
    """Even in a loop, because it has no duration."""
    image = tmp_path / "picture.png"
    cv2.imwrite(str(image), np.zeros((48, 64, 3), np.uint8))

    records = play(image, loops=2)

    check_contract(records, ("video",))


# --- timestamps that jump ---------------------------------------------------------------------------------------------


def by_session(records: list[InputRecord]) -> list[list[InputRecord]]:
    """Return the records of each session, in the order of the sessions."""
    found: dict[str, list[InputRecord]] = {}
    for record in records:
        found.setdefault(record.session, []).append(record)
    return list(found.values())


def test_timestamps_that_restart_begin_a_session(sample: Sample, play: Play, tmp_path: Path) -> None:
    """Two recordings in one file: each is complete, and the second follows the first without a gap."""
    twice = tmp_path / "twice.ts"
    twice.write_bytes(sample("sintel_608_10s.ts").read_bytes() * 2)

    with capture_logs() as logs:
        sessions = by_session(play(twice))

    assert len(sessions) == 2
    for records in sessions:
        check_contract(records, ("video", "audio", "subtitles"))
        assert len(starts(records, VideoFrame)) == pytest.approx(40, abs=2)
        assert len(starts(records, SubtitleCue)) == 3
    end_ns = max(record.next_ns or 0 for record in sessions[0])
    assert min(record.start_ns for record in sessions[1]) == pytest.approx(end_ns, abs=S // 10)
    assert [log["event"] for log in logs] == ["session_split"]


def test_timestamps_that_jump_ahead_begin_a_session(make_media: MakeMedia, play: Play) -> None:
    """Frames at 0 to 2 s, then at 60 to 62 s."""
    media = make_media(frame_ms=[*EVERY_40_MS, *range(60_000, 62_000, 40)])

    sessions = by_session(play(media))

    assert [len(starts(records, VideoFrame)) for records in sessions] == [8, 8]
    for records in sessions:
        check_contract(records, ("video",))
    assert starts(sessions[1], VideoFrame)[0] == 2_000  # the watermark of the first session


def test_a_new_session_may_begin_at_any_packet(make_media: MakeMedia, plan_of: Callable[..., PlaybackPlan]) -> None:
    """As for a feed that has drifted from the wall clock. The caller decides when the new session begins."""
    media = make_media(frame_ms=range(0, 4_000, 40))
    with Playback(plan_of(media), next_start_ns=lambda end_ns: end_ns + 10 * S) as playback:
        records: list[InputRecord] = []
        for record in playback.records(0):
            records.append(record)
            if len(records) == 8:
                playback.resync()
        records += playback.ends()

    before, after = by_session(records)
    assert starts(after, VideoFrame)[0] * MS >= max(record.start_ns for record in before) + 10 * S
    for session in (before, after):
        check_contract(session, ("video",))
    assert len(starts([*before, *after], VideoFrame)) == pytest.approx(16, abs=1)


@pytest.mark.parametrize("parts", [2, 5])
def test_joined_parts_are_sessions_however_short(make_media: MakeMedia, play: Play, tmp_path: Path, parts: int) -> None:
    """Each part steps back by its two seconds. All frames and all samples of all parts arrive."""
    part = make_media("part.ts", samples=audio(2), audio_codec="mp2", rate=48_000)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * parts)

    with capture_logs() as logs:
        records = play(joined)

    alone = play(part)
    for kind in (VideoFrame, AudioChunk):
        assert sum(isinstance(one, kind) for one in records) == parts * sum(isinstance(one, kind) for one in alone)
    assert len({record.session for record in records}) == parts
    assert [log["event"] for log in logs] == ["session_split"] * (parts - 1)


def test_tracks_that_appear_in_mid_stream_are_passed_over(
    make_media: MakeMedia, play: Play, sample: Callable[[str], Path], tmp_path: Path
) -> None:
    """Where a file with other tracks is appended. All of the first one is sent, up to its end."""
    part = make_media("part.ts", video_codec=None, samples=audio(4), audio_codec="mp2", rate=48_000)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() + sample("sintel_608_10s.ts").read_bytes())

    records, alone = play(joined), play(part)

    assert [type(one) for one in records] == [type(one) for one in alone]
    assert [one.data for one in records if isinstance(one, AudioChunk)] == [
        one.data for one in alone if isinstance(one, AudioChunk)
    ]


def remuxed(source: Path, to: Path, *, from_s: float, until_s: float, back_s: float) -> bytes:
    """Return part of a transport stream, whose clock is set back."""
    with av.open(str(source)) as given, av.open(str(to), "w") as made:
        streams = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        begins_s = given.start_time / av.time_base
        for packet in given.demux():
            if packet.dts is None or not from_s <= packet.dts * packet.time_base - begins_s < until_s:
                continue
            packet.dts -= round(back_s / packet.time_base)
            packet.pts -= round(back_s / packet.time_base)
            packet.stream = streams[packet.stream_index]
            made.mux(packet)
    return to.read_bytes()


def test_a_clock_that_is_set_back_within_a_group_of_pictures(
    make_media: MakeMedia, plan_of: Callable[..., PlaybackPlan], tmp_path: Path
) -> None:
    """All sound arrives, and all pictures but those that have lost what they refer to: they are counted and named."""
    samples = audio(24)  # 8 s at 48 kHz
    film = make_media(
        "film.ts",
        frame_ms=range(0, 8_000, 40),
        video_codec="libx264",
        key_every=100,
        samples=samples,
        audio_codec="mp2",
        rate=48_000,
    )
    parts = [
        remuxed(film, tmp_path / "before.ts", from_s=-1, until_s=2, back_s=0),
        remuxed(film, tmp_path / "after.ts", from_s=2, until_s=9, back_s=1),
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))

    with capture_logs() as logs, Playback(plan_of(joined)) as playback:
        records = list(playback.records(0))
        losses = playback.losses

    assert len({record.session for record in records}) == 2
    heard_ns = sum(one.end_ns - one.start_ns for one in records if isinstance(one, AudioChunk))
    assert heard_ns / S == pytest.approx(samples.shape[1] / 48_000, abs=0.1)
    after = by_session(records)[1]
    first_picture_ns = min(one.start_ns for one in after if isinstance(one, VideoFrame))
    assert (first_picture_ns - after[0].start_ns) / S == pytest.approx(2, abs=0.3), "the key frame is at 4 s"
    assert losses.broken == pytest.approx(50, abs=5)
    assert "before the next key frame" in str(playback.decoder_error)
    assert [log["event"] for log in logs] == ["session_split"]


def test_pixels_that_change_their_shape_in_mid_stream(play: Play, tmp_path: Path) -> None:
    """As at the border between a programme and its advertising: each frame states its own."""
    parts = []
    for name, aspect in (("wide.ts", Fraction(4, 3)), ("square.ts", Fraction(1))):
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            video = container.add_stream("mpeg2video", rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video.codec_context.sample_aspect_ratio = aspect
            for number in range(50):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8), format="rgb24")
                frame.pts = number + 50 * len(parts)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        parts.append(path.read_bytes())
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))

    sizes = [(record.width, record.height) for record in play(joined) if isinstance(record, VideoFrame)]

    assert sizes == [(84, 48)] * 8 + [(64, 48)] * 8
