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
