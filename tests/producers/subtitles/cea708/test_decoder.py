"""Captions that exist as CEA-708 only: codes, windows, spans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.producers.subtitles.cea708 import caption_encoder as cc
from tests.producers.subtitles.cea708.caption_encoder import Encoder
from triptych.producers.subtitles import cea608
from triptych.producers.subtitles.cea708.decoder import DtvccCaptions
from triptych.producers.subtitles.cue import Cue
from triptych.schemas.records import InputRecord, Progress, SubtitleCue

MS = 1_000_000
FRAME_NS = 40 * MS


class Screen:
    """Feed a decoder with commands, frame by frame."""

    def __init__(self) -> None:
        self.encoder = Encoder()
        self.captions = DtvccCaptions()
        self.cues: list[Cue] = []
        self.frame = 0

    @property
    def text(self) -> str:
        """The text on the screen."""
        return self.captions.shown

    def send(self, *commands: bytes, service: int = 1) -> str:
        """Send commands, each in a packet of its own; return the text on the screen."""
        for content in self.encoder.frames(*commands, service=service):
            self.feed(content)
        return self.text

    def feed(self, content: bytes) -> None:
        """Feed a frame with these caption bytes."""
        cue = self.captions.feed(content, self.frame * FRAME_NS)
        self.cues += [] if cue is None else [cue]
        self.frame += 1

    def wait(self, frames: int) -> None:
        """Feed frames without caption bytes."""
        for _ in range(frames):
            self.feed(b"")


@pytest.fixture
def screen() -> Screen:
    """Return an empty screen."""
    return Screen()


def test_a_caption_spans_from_shown_to_hidden(screen: Screen) -> None:
    """It is written while the window is hidden."""
    screen.send(cc.define(0), cc.PEN_STYLE, cc.PEN_COLOR, cc.WINDOW_STYLE, cc.pen(0, 4), b"Good", cc.pen(1, 2))
    assert screen.send(b"evening.") == ""
    screen.wait(10)
    shown = screen.frame
    assert screen.send(cc.display(0)) == "Good\nevening."
    screen.wait(50)
    hidden = screen.frame
    screen.send(cc.hide(0))

    assert screen.cues == [Cue(shown * FRAME_NS, hidden * FRAME_NS, "Good\nevening.")]


@pytest.mark.parametrize(
    "command", [cc.hide(3), cc.toggle(3), cc.delete(3), cc.clear(3), cc.RESET, cc.FORM_FEED, cc.hide(0, 1, 2, 3)]
)
def test_every_way_of_leaving_the_screen_ends_the_caption(screen: Screen, command: bytes) -> None:
    """Hidden, toggled, deleted, cleared, reset, or erased by a form feed."""
    screen.send(cc.define(3, visible=True), b"gone")
    screen.wait(5)
    screen.send(command)

    assert [cue.text for cue in screen.cues] == ["gone"]
    assert screen.text == ""


def test_other_windows_stay(screen: Screen) -> None:
    """Only the windows of the bitmap change. Text is read from the top down."""
    screen.send(cc.define(0, visible=True, top=70), b"below", cc.define(5, visible=True, top=5), b"above")
    assert screen.text == "above\nbelow"
    assert screen.send(cc.hide(5)) == "below"
    assert screen.send(cc.toggle(5, 0)) == "above"
    assert screen.send(cc.select(5), b"!", cc.select(7), b"!") == "above!!"  # no window 7: the current one stays


def test_redefining_a_window_keeps_its_text(screen: Screen) -> None:
    """With the same parameters it is only selected; with others it is changed."""
    screen.send(cc.define(1, visible=True), b"kept", cc.hide(1))
    assert screen.send(cc.define(1, visible=True)) == ""
    assert screen.send(cc.define(1, rows=3, visible=True), b"!") == "kept!"


def test_text_without_a_current_window_is_discarded(screen: Screen) -> None:
    """There is none after the current window was deleted."""
    assert screen.send(cc.define(0, visible=True), b"a", cc.delete(0), b"lost") == ""


def test_rows_roll_up(screen: Screen) -> None:
    """A carriage return in the last row pushes the first one out. Each screen is a cue with its span."""
    screen.send(cc.define(0, rows=2, visible=True), b"one")
    for line in (b"two", b"three", b"four"):
        screen.wait(40)
        screen.send(cc.RETURN, line)
    screen.wait(40)
    screen.send(cc.delete(0))

    assert [cue.text for cue in screen.cues] == ["one", "one\ntwo", "two\nthree", "three\nfour"]
    assert all(before.end_ns == after.start_ns for before, after in zip(screen.cues, screen.cues[1:], strict=False))


def test_rows_may_roll_down(screen: Screen) -> None:
    """As the window's attributes say."""
    screen.send(cc.define(0, rows=2, visible=True), b"\x97\x00\x00\x08\x00", b"one", cc.RETURN)
    assert screen.send(b"two", cc.RETURN, b"three") == "three\ntwo"


def test_letters_written_one_by_one_are_one_caption(screen: Screen) -> None:
    """It begins with the first letter."""
    screen.send(cc.define(0, visible=True))
    began = screen.frame
    for letter in b"painted":
        screen.send(bytes([letter]))
    screen.send(cc.clear(0))

    assert [(cue.start_ns, cue.text) for cue in screen.cues] == [(began * FRAME_NS, "painted")]


def test_codes_that_move_the_pen(screen: Screen) -> None:
    """Backspace, and erasing a row or everything."""
    assert screen.send(cc.define(0, visible=True), b"wordz", cc.BACKSPACE, b"s") == "words"
    assert screen.send(cc.ROW_RETURN, b"new") == "new"
    assert screen.send(cc.pen(1, 0), b"row", cc.pen(0, 1), b"o") == "now\nrow"
    assert screen.send(cc.FORM_FEED, b"fresh") == "fresh"


def test_every_group_of_characters(screen: Screen) -> None:
    """G0 with its music note, G1 as Latin-1, G2 and G3 after EXT1; an unknown character is an underscore."""
    extended = b"".join(
        b"\x10" + bytes([code]) for code in (0x25, 0x2A, 0x31, 0x33, 0x34, 0x39, 0x3F, 0x76, 0xA0, 0x40)
    )
    screen.send(cc.define(0, visible=True), b"~\x7f \xa1\xdcber\xff ", extended)

    assert screen.text == "~♪ ¡Überÿ …Š‘“”™Ÿ⅛[CC]_"  # noqa: RUF001 - the characters under test


def test_reserved_codes_are_skipped_with_their_parameters(screen: Screen) -> None:
    """C0, C2 and C3 codes of every length, and 16-bit characters."""
    screen.send(cc.define(0, visible=True))
    nothing = [b"\x03", b"\x11A", b"\x19AB", b"\x10\x01", b"\x10\x08A", b"\x10\x10AB", b"\x10\x18ABC"]
    nothing += [b"\x10\x80ABCD", b"\x10\x88ABCDE", b"\x10\x90\x03ABC", b"\x93"]
    assert screen.send(b"<", *nothing, b">") == "<>"
    assert screen.send(b"\x18\x30\x42") == "<>_"


def test_a_command_may_be_split_between_blocks(screen: Screen) -> None:
    """The decoder waits for the rest."""
    whole = cc.define(0, visible=True) + b"\x10\x25"
    assert screen.send(*(bytes([byte]) for byte in whole)) == "…"


def test_a_delay_holds_back_the_following_codes(screen: Screen) -> None:
    """For its tenths of a second, or until it is cancelled."""
    screen.send(cc.define(0, visible=True))
    assert screen.send(cc.delay(10) + b"later") == ""
    began = screen.frame - 1
    screen.wait(30)
    assert screen.text == "later"
    assert screen.captions.shown_since_ns == (began + 25) * FRAME_NS
    assert screen.send(cc.delay(255) + b" and now") == "later"
    assert screen.send(cc.NO_DELAY) == "later and now"


def test_other_services_are_not_read(screen: Screen) -> None:
    """Only the first one is, the programme's primary language."""
    screen.send(cc.define(0, visible=True), b"hola", service=2)
    screen.send(cc.define(0, visible=True), b"hi", service=9)
    assert screen.text == ""
    assert screen.send(cc.define(0, visible=True), b"hello") == "hello"


def test_a_lost_packet_clears_the_screen(screen: Screen) -> None:
    """A sequence number is missing, so the content of the windows is unknown."""
    screen.send(cc.define(0, visible=True), b"before")
    screen.wait(5)
    screen.encoder.packet(b"lost")

    assert screen.send(cc.define(0, visible=True), b"after") == "after"
    assert [cue.text for cue in screen.cues] == ["before"]


@given(st.lists(st.binary(max_size=93), max_size=20))
def test_random_bytes_raise_nothing(frames: list[bytes]) -> None:
    """Spans go forward, whatever the bytes."""
    captions = DtvccCaptions()
    for number, content in enumerate(frames):
        cue = captions.feed(content, number * FRAME_NS)
        assert cue is None or (cue.end_ns > cue.start_ns and cue.text)


@given(st.lists(st.binary(min_size=1, max_size=31), max_size=30))
def test_random_commands_raise_nothing(commands: list[bytes]) -> None:
    """In complete packets of the right service."""
    screen = Screen()
    screen.send(cc.define(0, visible=True), *commands)
    assert all(cue.end_ns > cue.start_ns and cue.text for cue in screen.cues)


# --- in a video file --------------------------------------------------------------------------------------------------


def captioned(tmp_path: Path, *, line_21: bool = False) -> Path:
    """Write a video of 4 s with a caption from 1 s to 3 s, optionally with others by CEA-608."""
    encoder = Encoder()
    ready = encoder.frames(cc.define(0), b"By 708", cc.pen(1, 0), b"alone \x10\x25")
    captions = dict(enumerate(ready, start=5))
    captions[25] = next(encoder.frames(cc.display(0)))
    captions[75] = next(encoder.frames(cc.hide(0)))
    if line_21:
        pairs = [b"\x94\x20", b"\x94\x70", b"\xc2\x79", b"\x20\xb6", b"\xb0\x38", b"\x94\x2f"]
        places = [8, 9, 10, 11, 12, 26]
        for place, pair in zip(places, pairs, strict=True):
            captions[place] = b"\xfc" + pair + captions.get(place, cc.NO_LINE_21 + cc.PADDING)[3:]
        captions[76] = b"\xfc\x94\x2c" + cc.PADDING
    return cc.write_media(tmp_path / "film.ts", captions, frames=100)


def cues_of(records: list[InputRecord]) -> list[tuple[int, int, str]]:
    """Return the span in milliseconds and the text of each cue."""
    cues = [record for record in records if isinstance(record, SubtitleCue)]
    return [(cue.start_ns // MS, cue.end_ns // MS, cue.text) for cue in cues]


def test_a_file_with_cea708_only_has_subtitles(tmp_path: Path, play: Callable[..., Any]) -> None:
    """They are found without being declared, and every watermark holds."""
    records = play(captioned(tmp_path))
    text_track = [
        record for record in records if isinstance(record, SubtitleCue | Progress) and record.modality == "subtitles"
    ]

    assert cues_of(records) == [(1_000, 3_000, "By 708\nalone …")]
    watermark_ns = 0
    for record in text_track:
        if isinstance(record, SubtitleCue):
            assert record.start_ns >= watermark_ns
        watermark_ns = max(watermark_ns, record.next_ns or 0)


def test_cea608_is_read_where_there_are_both(tmp_path: Path, play: Callable[..., Any]) -> None:
    """Each caption comes once."""
    assert cues_of(play(captioned(tmp_path, line_21=True))) == [(1_040, 3_040, "By 608")]


@pytest.mark.parametrize(("bare", "found"), [(0, True), (10, True), (40, False)])
def test_captions_are_looked_for_in_the_first_packets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: int, *, found: bool
) -> None:
    """Where none of them has the mark of captions, nothing is decoded."""
    decoders: list[str] = []
    create = av.CodecContext.create

    def counted(*args: Any) -> Any:  # noqa: ANN401 - as the function of PyAV
        decoders.append(args[0])
        return create(*args)

    path = cc.write_media(tmp_path / "film.ts", {}, frames=50, bare=bare)
    monkeypatch.setattr(cea608, "av", SimpleNamespace(CodecContext=SimpleNamespace(create=counted), error=av.error))
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert cea608.carries_captions(video, container.demux(video)) is found
    assert bool(decoders) is found
