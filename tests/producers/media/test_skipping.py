"""What is never decoded changes no picture: of real clips, of codecs whose frames stand alone, and of damaged ones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet

from triptych.producers.media.decoding import TrackDecoder
from triptych.producers.media.sampling import Sampler
from triptych.producers.plans import SourceOptions, plans_for
from triptych.producers.session.playback import Playback
from triptych.schemas.records import VideoFrame

SAMPLES = Path(__file__).parents[3] / "app" / "triptych" / "samples"
REAL_CLIPS = ("bbb_5s_51ch.mp4", "librivox_city_15s.mkv", "sintel_608_10s.ts")
WIDTH, HEIGHT, FPS = 160, 96, 25


class _Counter:
    """Counts the packets that reach the decoder of the video."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.packets = 0
        decode = TrackDecoder.decode

        def counted(decoder: TrackDecoder, stream: object, packet: Packet | None) -> object:
            self.packets += packet is not None and packet.stream.type == "video"
            return decode(decoder, stream, packet)

        monkeypatch.setattr(TrackDecoder, "decode", counted)


def pictures(path: Path, fps: str = "4") -> list[tuple[int, bytes]]:
    """Return the pictures of a clip as they are sent: time and JPEG."""
    [plan] = plans_for([str(path)], SourceOptions(stream="clip", fps=fps))
    with Playback(plan) as playback:
        return [(record.start_ns, record.data) for record in playback.records(0) if isinstance(record, VideoFrame)]


def decode_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch skipping off."""
    monkeypatch.setattr(Sampler, "may_take", lambda *_: True)
    monkeypatch.setattr(Sampler, "has_taken", lambda *_: False)


def write_clip(path: Path, codec: str, pix_fmt: str, *, damaged: frozenset[int] = frozenset()) -> Path:
    """Write two seconds of a moving gradient, in which the packets of some frames are damaged."""
    with av.open(str(path), "w") as clip:
        stream = clip.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        columns = np.arange(WIDTH, dtype=np.uint8)[None, :, None]
        for number in range(2 * FPS):
            rgb = np.broadcast_to(columns + np.uint8(5 * number), (HEIGHT, WIDTH, 3))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            for packet in stream.encode(frame):
                clip.mux(_broken(packet) if number in damaged else packet)
        clip.mux(stream.encode(None))
    return path


def _broken(packet: Packet) -> Packet:
    broken = Packet(b"\xff\xd8\xff\xda" + bytes(32))
    broken.stream, broken.pts, broken.dts, broken.duration = packet.stream, packet.pts, packet.dts, packet.duration
    broken.time_base, broken.is_keyframe = packet.time_base, True
    return broken


@pytest.mark.parametrize("fps", ["4", "0.7"])
@pytest.mark.parametrize("name", REAL_CLIPS)
def test_the_pictures_of_real_clips_are_those_of_decoding_everything(
    name: str, fps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte by byte, and at the same times."""
    found = pictures(SAMPLES / name, fps)
    decode_everything(monkeypatch)

    assert found
    assert found == pictures(SAMPLES / name, fps)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"), [("mjpeg", "yuvj420p", ".avi"), ("prores", "yuv422p10le", ".mov")]
)
def test_frames_that_stand_alone_are_decoded_only_where_they_are_taken(
    codec: str, pix_fmt: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four of 25 a second: the same pictures of a sixth of the packets."""
    clip = write_clip(tmp_path / f"clip{suffix}", codec, pix_fmt)
    counter = _Counter(monkeypatch)
    found = pictures(clip)
    decoded, counter.packets = counter.packets, 0
    decode_everything(monkeypatch)

    assert found == pictures(clip)
    assert len(found) == 8
    assert counter.packets == 2 * FPS
    assert decoded == len(found)


def test_a_damaged_frame_is_replaced_by_the_next_one_of_its_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame is skipped once its cell has a picture, not once it has a packet."""
    clip = write_clip(tmp_path / "clip.avi", "mjpeg", "yuvj420p", damaged=frozenset({0, 7, 8}))
    found = pictures(clip)
    decode_everything(monkeypatch)

    assert found == pictures(clip)
    assert len(found) == 8
    assert round(found[0][0] * FPS / 1e9) == 1
