"""A file as a session: what is sent, when it happened, what is promised."""

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
MakeFilm = Callable[..., Path]
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
    """Return when the records of one kind begin, in milliseconds."""
    return [record.start_ns // MS for record in records if isinstance(record, kind)]


def sound(seconds: float) -> NDArray[np.int16]:
    """Return so much sound at 16 kHz."""
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
    """Once and in a loop."""
    check_contract(play(sample(name), loops=loops), tracks)


def test_the_sample_with_words_is_sent_whole(sample: Sample, play: Play) -> None:
    """Its 15.2 s hold 61 grid instants, 31 chunks and 3 cues, and nothing begins beyond them."""
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


def test_a_first_time_stamp_other_than_zero_is_the_sessions_start(sample: Sample, play: Play) -> None:
    """A transport stream that begins at 9.88 s; its sound comes 119 ms before its picture."""
    records = play(sample("sintel_608_10s.ts"))

    assert starts(records, AudioChunk)[0] == 0
    assert starts(records, VideoFrame)[0] == 119


def test_a_loop_is_one_session_whose_time_runs_on(make_film: MakeFilm, play: Play) -> None:
    """Each pass as long as the file; numbers go on; the tracks end once, after the last pass."""
    film = make_film(samples=sound(2))
    film.with_suffix(".srt").write_text(SRT)

    records = play(film, loops=3)

    check_contract(records, ("video", "audio", "subtitles"))
    assert starts(records, AudioChunk) == list(range(0, 6_000, 500))
    assert starts(records, SubtitleCue) == [500, 1_500, 2_500, 3_500, 4_500, 5_500]
    assert {record.start_ns for record in records if isinstance(record, End)} == {6 * S}


def test_sound_only_and_picture_only_are_sessions_of_one_track(make_film: MakeFilm, play: Play) -> None:
    """What a file lacks is not announced."""
    check_contract(play(make_film("sound.wav", video_codec=None, samples=sound(1))), ("audio",))
    check_contract(play(make_film("picture.mkv")), ("video",))


@pytest.mark.parametrize("size", [(65, 49), (2, 2), (1280, 720)])
def test_any_size_of_picture_is_sent(make_film: MakeFilm, play: Play, size: tuple[int, int]) -> None:
    """Odd ones as even ones, as JPEG files that open."""
    codec = "mpeg4" if size != (2, 2) else "ffv1"
    frames = [record for record in play(make_film(size=size, video_codec=codec)) if isinstance(record, VideoFrame)]

    picture = cv2.imdecode(np.frombuffer(frames[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert (frames[0].width, frames[0].height) == (picture.shape[1], picture.shape[0])
    assert frames[0].height is not None
    assert frames[0].height <= 360


def test_a_varying_frame_rate_is_sampled_by_time(make_film: MakeFilm, play: Play) -> None:
    """The first picture at or after each instant, with its own time; between far ones the reading position is told."""
    records = play(make_film(frame_ms=[0, 100, 200, 300, 1_700, 1_740, 1_780, 5_000], samples=sound(5)))

    check_contract(records, ("video", "audio"))
    assert starts(records, VideoFrame) == [0, 300, 1_700, 1_780, 5_000]
    gaps = np.diff([record.start_ns for record in of_track(records, "video")])
    assert max(gaps) <= 620 * MS


def test_a_rate_above_the_files_own_sends_every_frame_once(make_film: MakeFilm, play: Play) -> None:
    """Nothing is invented."""
    assert starts(play(make_film(), fps=Fraction(120)), VideoFrame) == list(EVERY_40_MS)


def test_sound_that_stops_is_told_of_until_the_file_ends(make_film: MakeFilm, play: Play) -> None:
    """At least every half second of the film, with a promise that follows the picture."""
    records = play(make_film(frame_ms=range(0, 8_000, 40), samples=sound(2.2)))

    track = of_track(records, "audio")
    reports = [record for record in track if isinstance(record, Progress)]
    check_contract(records, ("video", "audio"))
    assert starts(records, AudioChunk)[-1] == 2_000
    assert starts(records, Progress)[0] <= 2_800
    assert max(np.diff([report.start_ns for report in reports])) <= 600 * MS
    assert reports[-1].watermark_ns >= 4_400 * MS
    assert track[-1].start_ns == 2_200 * MS


def test_sound_that_comes_late_is_first_told_of_by_sound(make_film: MakeFilm, play: Play) -> None:
    """No control record goes before the first chunk."""
    records = play(make_film(frame_ms=range(0, 6_000, 40), samples=sound(1), sound_at_ms=[4_000]))

    check_contract(records, ("video", "audio"))
    assert of_track(records, "audio")[0].start_ns == 4 * S


def test_sound_before_picture_is_sent_at_once(make_film: MakeFilm, play: Play) -> None:
    """The session begins with whichever comes first."""
    records = play(make_film(frame_ms=range(1_500, 3_000, 40), samples=sound(3)))

    check_contract(records, ("video", "audio"))
    assert starts(records, AudioChunk)[0] == 0
    assert starts(records, VideoFrame)[0] == 1_500


def test_a_cue_file_promises_the_next_cue_and_ends_with_the_film(make_film: MakeFilm, play: Play) -> None:
    """A cue that outlasts the film is cut, one that begins after it is not sent."""
    film = make_film(samples=sound(2))
    words = film.parent / "words.srt"
    words.write_text(SRT)

    records = play(film, subtitles=words, language="eng")

    track = of_track(records, "subtitles")
    cues = [record for record in track if isinstance(record, SubtitleCue)]
    assert [(cue.start_ns, cue.end_ns, cue.text, cue.language) for cue in cues] == [
        (500 * MS, S, "One", "eng"),
        (1_500 * MS, 2 * S, "Two", "eng"),
    ]
    assert cues[0].next_ns == 1_500 * MS
    assert cues[1].next_ns == 30 * S
    assert track[-1].start_ns == 2 * S


def test_words_come_from_exactly_one_place(sample: Sample, play: Play, tmp_path: Path) -> None:
    """The named file, else the track inside, else the file beside."""
    inside = "He was not an ill-disposed young man,"
    film = tmp_path / "film.mkv"
    film.write_bytes(sample("librivox_city_15s.mkv").read_bytes())
    film.with_suffix(".srt").write_text(SRT.replace("One", "Beside"))
    named = tmp_path / "named.vtt"
    named.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nNamed\n")

    assert first_words(play(film)) == inside
    assert first_words(play(film, subtitles=named)) == "Named"
    without = remux(film, tmp_path / "without.mkv", with_subtitles=False)
    assert first_words(play(without)) is None
    without.with_suffix(".ass").write_text("[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,Beside\n")
    assert first_words(play(without)) == "Beside"


def first_words(records: list[InputRecord]) -> str | None:
    """Return the first cue's text."""
    return next((record.text for record in records if isinstance(record, SubtitleCue)), None)


def remux(film: Path, target: Path, *, with_subtitles: bool = True, words: Path | io.BytesIO | None = None) -> Path:
    """Copy a film's tracks into another container, without its words or with those of a file."""
    with av.open(str(film)) as source, av.open(str(target), "w") as container:
        inputs = [stream for stream in source.streams if with_subtitles or stream.type != "subtitle"]
        outputs = {stream.index: container.add_stream_from_template(stream) for stream in inputs}
        if words is not None:
            with av.open(words if isinstance(words, io.BytesIO) else str(words)) as cues:
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


def test_webvtt_for_which_there_is_no_decoder_is_read_as_text(sample: Sample, play: Play, tmp_path: Path) -> None:
    """As mkvmerge writes it: the packet is the text."""
    words = tmp_path / "words.vtt"
    words.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Bob>Hi &amp; bye\n\n")
    film = remux(sample("bbb_5s_51ch.mp4"), tmp_path / "film.mkv", words=words)
    film.write_bytes(film.read_bytes().replace(b"D_WEBVTT/SUBTITLES", b"S_TEXT/WEBVTT".ljust(18, b"\0")))

    assert first_words(play(film)) == "Hi & bye"


def test_subtitles_that_are_pictures_are_skipped_with_a_warning(sample: Sample, play: Play, tmp_path: Path) -> None:
    """The session has no words then, and says so by not announcing any."""
    film = remux(sample("bbb_5s_51ch.mp4"), tmp_path / "film.mkv", words=io.BytesIO(pgs_subtitle()))

    with capture_logs() as logs:
        records = play(film)

    check_contract(records, ("video", "audio"))
    assert [(log["event"], log["codec"]) for log in logs] == [("subtitles_skipped", "pgssub")]


def pgs_subtitle() -> bytes:
    """Return a Blu-ray subtitle file of one empty picture."""
    composition = struct.pack(">HHBHBBBB", 1920, 1080, 0x10, 0, 0x80, 0, 0, 0)
    segments = [(0x16, composition), (0x80, b"")]
    return b"".join(
        b"PG" + struct.pack(">IIBH", 90_000 * second, 0, kind, len(payload)) + payload
        for second in (1, 2, 3)
        for kind, payload in segments
    )


@pytest.mark.parametrize(("degrees", "matrix"), [(90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1)), (270, (0, -1, 1, 0))])
def test_a_turned_picture_is_sent_upright(
    make_film: MakeFilm, play: Play, degrees: int, matrix: tuple[int, int, int, int]
) -> None:
    """As phones film: the track's header holds the turn, clockwise."""
    film = make_film("film.mp4", size=(64, 48))
    content = bytearray(film.read_bytes())
    a, b, c, d = (value * 65_536 for value in matrix)
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    film.write_bytes(content)

    frame = next(record for record in play(film) if isinstance(record, VideoFrame))

    assert (frame.width, frame.height) == ((64, 48) if degrees == 180 else (48, 64))


def test_what_an_edit_list_cuts_off_is_decoded_but_not_sent(make_film: MakeFilm, play: Play) -> None:
    """A cut between key frames: the frames before it are needed, and do not happen."""
    film = make_film("film.mp4", frame_ms=range(-400, 1_000, 40), video_codec="libx264")

    records = play(film)

    frames = [record for record in records if isinstance(record, VideoFrame)]
    grey = cv2.imdecode(np.frombuffer(frames[0].data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert starts(records, VideoFrame) == [0, 280, 520, 760]
    assert abs(int(grey.mean()) - 5 * 10) < 8
    assert of_track(records, "video")[-1].start_ns == S


@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_a_file_cut_in_the_middle_is_sent_as_far_as_it_goes(
    sample: Sample, play: Play, tmp_path: Path, kept: float
) -> None:
    """And ended properly, with one warning."""
    whole = sample("librivox_city_15s.mkv").read_bytes()
    film = tmp_path / "cut.mkv"
    film.write_bytes(whole[: int(len(whole) * kept)])

    with capture_logs() as logs:
        records = play(film)

    check_contract(records, ("video", "audio", "subtitles"))
    assert 2 * S < of_track(records, "audio")[-1].start_ns < 14 * S
    assert [log["event"] for log in logs] == ["source_ended_early"]


def test_damaged_packets_cost_what_they_hold_and_no_more(sample: Sample, play: Play, tmp_path: Path) -> None:
    """The rest keeps its times."""
    content = bytearray(sample("librivox_city_15s.mkv").read_bytes())
    content[200_000:200_400] = bytes(400)
    film = tmp_path / "damaged.mkv"
    film.write_bytes(content)

    records = play(film)

    check_contract(records, ("video", "audio", "subtitles"))
    assert of_track(records, "video")[-1].start_ns == 15_200 * MS


@pytest.mark.parametrize("content", [b"no film at all\n" * 100, b"\0" * 1_000, b"\x1aE\xdf\xa3" + bytes(500)])
def test_a_file_without_media_is_the_users_mistake(play: Play, tmp_path: Path, content: bytes) -> None:
    """Said in one line with the file's name."""
    film = tmp_path / "film.mkv"
    film.write_bytes(content)

    with pytest.raises(UsageError, match=r"film\.mkv: expected a media file") as caught:
        play(film)

    assert "\n" not in str(caught.value)


def test_an_mp4_cut_before_its_index_is_the_users_mistake(make_film: MakeFilm, play: Play) -> None:
    """Nothing in it can be read."""
    film = make_film("film.mp4", samples=sound(2), audio_codec="aac")
    film.write_bytes(film.read_bytes()[:2_000])

    with pytest.raises(UsageError, match=r"film\.mp4: expected a media file"):
        play(film)


def test_a_file_of_words_alone_is_the_users_mistake(play: Play, tmp_path: Path) -> None:
    """There is no film to them."""
    words = tmp_path / "words.srt"
    words.write_text(SRT)

    with pytest.raises(UsageError, match="neither"):
        play(words)


def test_a_picture_without_length_is_sent_once(play: Play, tmp_path: Path) -> None:
    """Also where it should be looped."""
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.zeros((48, 64, 3), np.uint8))

    records = play(picture, loops=2)

    check_contract(records, ("video",))


# --- time that jumps --------------------------------------------------------------------------------------------------


def by_session(records: list[InputRecord]) -> list[list[InputRecord]]:
    """Return the records of each session, in the order of the sessions."""
    found: dict[str, list[InputRecord]] = {}
    for record in records:
        found.setdefault(record.session, []).append(record)
    return list(found.values())


def test_time_stamps_that_begin_again_begin_a_session(sample: Sample, play: Play, tmp_path: Path) -> None:
    """Two recordings one after another in one file: each is whole, the second follows the first without a gap."""
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


def test_time_that_jumps_ahead_begins_a_session(make_film: MakeFilm, play: Play) -> None:
    """Pictures at 0 to 2 s, then at 60 to 62 s."""
    film = make_film(frame_ms=[*EVERY_40_MS, *range(60_000, 62_000, 40)])

    sessions = by_session(play(film))

    assert [len(starts(records, VideoFrame)) for records in sessions] == [8, 8]
    for records in sessions:
        check_contract(records, ("video",))
    assert starts(sessions[1], VideoFrame)[0] == 2_000  # not before what the first has promised


def test_a_session_may_be_begun_anew_at_any_moment(make_film: MakeFilm, plan_of: Callable[..., PlaybackPlan]) -> None:
    """As when a feed has run away from the wall clock; the next one begins when it is told to."""
    film = make_film(frame_ms=range(0, 4_000, 40))
    with Playback(plan_of(film), next_start_ns=lambda end_ns: end_ns + 10 * S) as playback:
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
