"""The sound of a window and its outline."""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from triptych.consumers.page.reading.sound import waveform, window_sound
from triptych.schemas.records import AudioChunk

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult

RATE_HZ = 8_000
S = 10**9


def flac(samples: np.ndarray) -> bytes:  # int16 [frames]
    """Return samples as FLAC."""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return out.getvalue()


def matroska(codec: str) -> bytes:
    """Return a second of a black picture, or half a second of sound, as Matroska."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        if codec == "mpeg4":
            video = container.add_stream(codec, rate=1, width=16, height=16, pix_fmt="yuv420p")
            picture = av.VideoFrame(16, 16, "yuv420p")
            picture.pts = 0
            packets = [*video.encode(picture), *video.encode(None)]
        else:
            audio = container.add_stream(codec, rate=RATE_HZ, layout="mono")
            silence = np.zeros((1, RATE_HZ // 2), np.int16)
            frame = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, 0
            packets = [*audio.encode(frame), *audio.encode(None)]
        for packet in packets:
            container.mux(packet)
    return out.getvalue()


PLAYLIST = b"""<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>
<Representation id="1" mimeType="audio/mp4"><BaseURL>http://127.0.0.1:1/</BaseURL></Representation></AdaptationSet>
</Period></MPD>"""


def chunk(start_ns: int, data: bytes, content_type: str) -> AudioChunk:
    """Return half a second of sound."""
    fields = {"stream": "city", "id": f"a{start_ns}", "source": "/cam", "session": "s", "content_type": content_type}
    return AudioChunk.model_validate({**fields, "start_ns": start_ns, "end_ns": start_ns + S // 2, "data": data})


def test_flac_is_decoded_and_joined(make_result: MakeResult) -> None:
    """Where nothing is, there is silence."""
    result = make_result(0)
    ramp = np.linspace(0, 16_384, RATE_HZ // 2).astype(np.int16)
    sound = window_sound([chunk(result.start_ns + S, flac(ramp), "audio/flac")], result)
    assert sound is not None
    with wave.open(io.BytesIO(sound)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert (len(samples), file.getframerate()) == (2 * RATE_HZ, RATE_HZ)
    assert not samples[:RATE_HZ].any()
    assert (samples[RATE_HZ : RATE_HZ + RATE_HZ // 2] == ramp).all()
    outline = waveform(sound)
    assert (len(outline), outline[0], max(outline), outline[-1]) == (400, 0.0, 0.5, 0.0)
    assert outline[200] < outline[250] < outline[299]


@pytest.mark.parametrize("content_type", ["audio/flac", "audio/wav"])
def test_sound_that_cannot_be_decoded_is_none(make_result: MakeResult, content_type: str) -> None:
    """It is an input from the network."""
    result = make_result(0)
    assert window_sound([chunk(result.start_ns, b"no sound", content_type)], result) is None
    assert window_sound([], result) is None


@pytest.mark.parametrize("data", [matroska("mpeg4"), matroska("flac"), PLAYLIST], ids=["picture", "sound", "playlist"])
def test_only_flac_is_decoded_as_flac(make_result: MakeResult, data: bytes) -> None:
    """Nothing that FFmpeg could detect as another format, such as a playlist. A good chunk beside it still plays."""
    result = make_result(0)
    hostile = chunk(result.start_ns, data, "audio/flac")
    assert window_sound([hostile], result) is None
    good = chunk(result.start_ns + S, flac(np.full(RATE_HZ // 2, 9_000, np.int16)), "audio/flac")
    sound = window_sound([hostile, good], result)
    assert sound is not None
    assert max(waveform(sound)) == pytest.approx(9_000 / 32_768, abs=1e-3)
