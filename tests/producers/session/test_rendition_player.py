"""The subtitle rendition of an HLS channel on demand: read, placed on the timeline, given up where it has no words."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.producers.session.hls_channels import CLOCK, MakeMedia, playlist, webvtt, write_channel
from triptych.producers.session.playback import Playback
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import parse_source
from triptych.producers.status.losses import Losses
from triptych.schemas.records import InputRecord, SubtitleCue, VideoFrame

Play = Callable[..., list[InputRecord]]
MS = 1_000_000
WRAP_S = (1 << 33) / 90_000
BEFORE_WRAP_MS = 95_441_700
FIRST, SECOND = (1.0, "first"), (4.0, "second")
TWO_CUES = [(1_000, "first"), (4_000, "second")]
SIDECAR = "1\n00:00:00,500 --> 00:00:01,500\nbeside\n"
USER, PASSWORD, TOKEN = "viewer", "Geheim-7391", "Marke-5511"


def cues_of(records: list[InputRecord]) -> list[tuple[int, str]]:
    """Return the start in milliseconds and the text of each cue."""
    return [(round(one.start_ns / MS), one.text) for one in records if isinstance(one, SubtitleCue)]


def played(url: str, **options: Any) -> list[InputRecord]:  # noqa: ANN401 - whatever `PlaybackPlan` has
    """Return the records of a URL."""
    with Playback(PlaybackPlan(source=parse_source(url), stream="film", **options)) as playback:
        return [*playback.records(0), *playback.ends()]


@contextmanager
def serving(folder: Path, handler: type[SimpleHTTPRequestHandler]) -> Iterator[str]:
    """Serve a folder; yield host and port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


class Handler(SimpleHTTPRequestHandler):
    """Serve files without a word."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log nothing."""


@pytest.mark.parametrize(
    ("header", "begins_ms", "at_s"),
    [
        (CLOCK.format(ticks=126_000), 1_400, (1.0, 4.0)),
        ("X-TIMESTAMP-MAP=LOCAL:00:10.500,MPEGTS:126000", 1_400, (11.5, 14.5)),
        ("X-TIMESTAMP-MAP = MPEGTS:900000, LOCAL:01:00:00.000", 1_400, (3_592.4, 3_595.4)),
        (None, 1_400, (1.0, 4.0)),
        (CLOCK.format(ticks=90 * BEFORE_WRAP_MS), BEFORE_WRAP_MS, (1.0, 4.0)),
        (CLOCK.format(ticks=0), BEFORE_WRAP_MS, (BEFORE_WRAP_MS / 1_000 + 1, BEFORE_WRAP_MS / 1_000 + 4 - WRAP_S)),
    ],
    ids=["map", "map with an hourless time", "map far from zero", "no map", "clock that wraps", "map across the wrap"],
)
def test_cues_are_placed_by_the_clock_of_the_video(
    make_media: MakeMedia, play: Play, header: str | None, begins_ms: int, at_s: tuple[float, float]
) -> None:
    """One second and four seconds after the first frame, whatever the clock says then."""
    segments = [webvtt((at_s[0], "first"), header=header), webvtt((at_s[1], "second"), header=header)]
    records = play(write_channel(make_media, segments, begins_ms=begins_ms))

    assert cues_of(records) == TWO_CUES
    assert {record.tracks for record in records} == {("video", "subtitles")}
    assert {one.language for one in records if isinstance(one, SubtitleCue)} == {"en"}


@pytest.mark.parametrize("loops", [1, 2])
def test_a_cue_that_two_segments_have_is_played_once(make_media: MakeMedia, play: Play, loops: int) -> None:
    """Each segment repeats the cues that overlap it. A second pass plays them again."""
    segments = [webvtt(FIRST, (2.8, "between")), webvtt((2.8, "between"), SECOND)]
    records = play(write_channel(make_media, segments), loops=loops)

    once = [(1_000, "first"), (2_800, "between"), (4_000, "second")]
    found = cues_of(records)
    assert found[:3] == once
    assert [text for _, text in found] == [text for _, text in once] * loops


def test_segments_may_be_parts_of_one_file(make_media: MakeMedia, play: Play) -> None:
    """As byte ranges, with and without an offset; with a byte order mark and CRLF."""
    one = ("\ufeff" + webvtt(FIRST).replace("\n", "\r\n")).encode()
    two = webvtt(SECOND).encode()
    words = playlist(f"#EXT-X-BYTERANGE:{len(one)}@0\nt0.vtt", f"#EXT-X-BYTERANGE:{len(two)}\nt0.vtt")

    assert cues_of(play(write_channel(make_media, [one + two], words=words))) == TWO_CUES


def test_after_a_discontinuity_the_clock_begins_anew(make_media: MakeMedia, play: Play) -> None:
    """The cues of each part are played in that part, though both parts have the same time stamps."""
    words = playlist("t0.vtt", "#EXT-X-DISCONTINUITY\nt1.vtt", length_s=6)
    master = write_channel(make_media, [webvtt(FIRST), webvtt((2.0, "second"))], words=words)
    (master.parent / "v.m3u8").write_text(playlist("s0.ts", "#EXT-X-DISCONTINUITY\ns0.ts", length_s=6))
    records = play(master)

    assert len({record.session for record in records}) == 2
    assert cues_of(records) == [(1_000, "first"), (8_000, "second")]


def test_a_missing_segment_costs_no_other(make_media: MakeMedia, plan_of: Callable[..., PlaybackPlan]) -> None:
    """It is counted, as what it is and not as late, and logged once."""
    master = write_channel(make_media, [webvtt(FIRST), None, webvtt((5.0, "third"))])
    (master.parent / "t.m3u8").write_text(playlist("t0.vtt", "t1.vtt", "t2.vtt", length_s=2))
    with capture_logs() as logs, Playback(plan_of(master)) as playback:
        records = list(playback.records(0))
        assert playback.losses == Losses(skipped_segments=1)

    assert cues_of(records) == [(1_000, "first"), (5_000, "third")]
    assert [(log["event"], log["segments"]) for log in logs] == [("subtitle_segments_skipped", 1)]


@pytest.mark.parametrize(
    ("segments", "words", "reason"),
    [
        ([], "nothing", "expected a playlist that begins with #EXTM3U"),
        ([None, None, None], None, "could not be fetched"),
        ([b"\0\0\0\x18ftypiso6", b"\0\0\0\x18styp"], None, "got WebVTT or TTML in fragmented MP4 data"),
        (
            [webvtt(FIRST), webvtt(SECOND)],
            playlist("t0.vtt", "t1.vtt").replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF', 1),
            "got encrypted ones",
        ),
        ([webvtt(), webvtt()], None, "it has yielded no text"),
    ],
    ids=["no playlist", "no segments", "fragmented MP4", "encrypted", "no cues"],
)
def test_a_rendition_without_words_gives_way_to_a_sidecar_file(
    make_media: MakeMedia, play: Play, segments: list[str | bytes | None], words: str | None, reason: str
) -> None:
    """From its first cue on. The reason is logged once."""
    master = write_channel(make_media, segments, words=words)
    master.with_suffix(".srt").write_text(SIDECAR)
    with capture_logs() as logs:
        records = play(master)

    assert cues_of(records) == [(500, "beside")]
    (log,) = (log for log in logs if log["event"] == "subtitles_silent")
    assert (log["silent"], log["used_now"]) == ("rendition", "sidecar file")
    assert reason in log["reason"]


def test_slow_segments_hold_no_frame_back(make_media: MakeMedia, play: Play) -> None:
    """The frames come at once; the watermark of the text waits, so no cue is late."""
    has_frames = threading.Event()
    came_first: list[bool] = []

    class Slow(Handler):
        def do_GET(self) -> None:
            if self.path.endswith(".vtt"):
                came_first.append(has_frames.wait(30))
            super().do_GET()

    master = write_channel(make_media, [webvtt(FIRST), webvtt(SECOND)])
    frames = sum(isinstance(record, VideoFrame) for record in play(master))
    with (
        serving(master.parent, Slow) as host,
        Playback(PlaybackPlan(source=parse_source(f"http://{host}/film.m3u8"), stream="film")) as playback,
    ):
        records = []
        for record in playback.records(0):
            records.append(record)
            if sum(isinstance(one, VideoFrame) for one in records) == frames:
                has_frames.set()
        assert came_first
        assert all(came_first)
        assert playback.losses.late == 0
    assert cues_of(records) == TWO_CUES


class Guarded(Handler):
    """Demand a password and a token."""

    def do_GET(self) -> None:
        """Serve only who knows both."""
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="channel"')
            self.end_headers()
        elif "film" in self.path and TOKEN not in self.path:
            self.send_error(403)
        else:
            super().do_GET()


def test_a_password_opens_the_rendition_and_is_not_logged(make_media: MakeMedia) -> None:
    """Relative URLs keep it. A segment that is missing is reported without it."""
    words = playlist("t0.vtt", "missing.vtt", "t1.vtt", length_s=2)
    master = write_channel(make_media, [webvtt(FIRST), webvtt(SECOND)], words=words)
    with serving(master.parent, Guarded) as host, capture_logs() as logs:
        records = played(f"http://{USER}:{PASSWORD}@{host}/film.m3u8?token={TOKEN}")

    assert cues_of(records) == TWO_CUES
    said = repr(logs) + repr(records)
    assert "subtitle_segments_skipped" in said
    assert not any(secret in said for secret in (USER, PASSWORD, TOKEN))


def test_a_channel_cannot_name_files_of_this_machine(make_media: MakeMedia, tmp_path: Path) -> None:
    """The rendition of a server is fetched from servers."""
    secret = tmp_path / "secret.m3u8"
    master = write_channel(make_media, [webvtt(FIRST)])
    secret.write_text(playlist("t0.vtt"))
    for uri in (str(secret), secret.as_uri()):
        master.write_text(master.read_text().replace('URI="t.m3u8"', f'URI="{uri}"'))
        with serving(tmp_path / "..", Handler) as host, capture_logs():
            assert cues_of(played(f"http://{host}/{tmp_path.name}/film.m3u8")) == []


@pytest.mark.parametrize(("wanted", "text"), [(None, "en"), ("de", "de"), ("ger", "de"), ("ja", "en")])
def test_the_rendition_in_the_wanted_language_is_read(
    make_media: MakeMedia, play: Play, wanted: str | None, text: str
) -> None:
    """Full subtitles come before forced ones."""
    master = write_channel(make_media, [webvtt((1.0, "en")), webvtt((1.0, "de")), webvtt((1.0, "forced"))])
    lines: Mapping[str, str] = {"en": "DEFAULT=YES", "de": "DEFAULT=NO", "fr": "FORCED=YES"}
    media = "".join(
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="{language}",{flags},LANGUAGE="{language}",URI="{language}.m3u8"\n'
        for language, flags in lines.items()
    )
    master.write_text("#EXTM3U\n" + media + "".join(master.read_text().splitlines(keepends=True)[2:]))
    for number, language in enumerate(lines):
        (master.parent / f"{language}.m3u8").write_text(playlist(f"t{number}.vtt", length_s=6))

    assert cues_of(play(master, language=wanted)) == [(1_000, text)]
