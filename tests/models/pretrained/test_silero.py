"""The voice activity detector equals the original, for batches of windows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from silero_vad import get_speech_timestamps, load_silero_vad

from triptych.models.base import base_spec
from triptych.models.model import Model
from triptych.models.network.collate import collate, empty_batch
from triptych.models.network.parts import Features
from triptych.models.pretrained.silero import SpeechEncoder, SpeechHead
from triptych.models.pretrained.weights import SILERO_VAD, load_weights
from triptych.models.window import PreparedWindow

MakeWindow = Callable[..., PreparedWindow]
WINDOW_SAMPLES = 32_000


@pytest.fixture(scope="module")
def original() -> torch.jit.ScriptModule:
    """Return the detector of the package `silero-vad`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the original is a TorchScript file
        loaded: torch.jit.ScriptModule = load_silero_vad()
    return loaded


@torch.inference_mode()
def test_the_probabilities_equal_the_originals(
    weights_folder: Path, original: torch.jit.ScriptModule, speech: NDArray[np.float32], make_window: MakeWindow
) -> None:
    """For each step of windows of different lengths in one batch."""
    weights = load_weights(SILERO_VAD, weights_folder)
    sounds = [speech[start : start + length] for start, length in ((0, 32_000), (50_000, 19_999), (90_000, 700))]
    batch = collate([make_window(sound=sound) for sound in sounds], empty_batch(4, WINDOW_SAMPLES, base_spec(1)))
    encoded = SpeechEncoder(weights).eval()(batch)
    probabilities = SpeechHead(weights)(Features({"audio": encoded}, None))
    for row, sound in enumerate(sounds):
        expected = original.audio_forward(torch.from_numpy(sound)[None], 16_000)[0]
        assert encoded.mask[row].sum() == expected.shape[0]
        torch.testing.assert_close(probabilities[row, : expected.shape[0]], expected, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_audio_of_any_length_has_the_same_shape(
    weights_folder: Path, speech: NDArray[np.float32], make_window: MakeWindow
) -> None:
    """The reason is that oneDNN caches code for each new shape, so varying shapes would cost memory and time."""
    encoder = SpeechEncoder(load_weights(SILERO_VAD, weights_folder)).eval()
    shapes: set[tuple[int, ...]] = set()
    encoder.trunk.register_forward_pre_hook(lambda _, inputs: shapes.add(tuple(inputs[0].shape)))

    for length in (700, 5_000, 19_999, 32_000):
        encoder(collate([make_window(sound=speech[:length])], empty_batch(4, WINDOW_SAMPLES, base_spec(1))))

    assert len(shapes) == 1


def original_share(original: torch.jit.ScriptModule, sound: NDArray[np.float32]) -> float:
    """Return the share of speech by the original `get_speech_timestamps` with its defaults."""
    spans = get_speech_timestamps(torch.from_numpy(sound), original)
    samples: int = sum(span["end"] - span["start"] for span in spans)
    return samples / sound.size


def test_the_share_of_speech_equals_the_originals(
    base_model: Model, original: torch.jit.ScriptModule, speech: NDArray[np.float32], make_window: MakeWindow
) -> None:
    """The last window is shorter, and its share refers to the present samples."""
    sounds = [speech[start : start + WINDOW_SAMPLES] for start in range(0, speech.size, WINDOW_SAMPLES)]
    shares = [
        prediction.speech_share for prediction in base_model.predict([make_window(sound=sound) for sound in sounds])
    ]
    assert len(sounds) == 8
    assert shares == pytest.approx([original_share(original, sound) for sound in sounds], abs=1e-3)


def test_the_share_of_speech_does_not_depend_on_gaps(
    base_model: Model, original: torch.jit.ScriptModule, speech: NDArray[np.float32], make_window: MakeWindow
) -> None:
    """Audio that starts late or has a gap is evaluated as the concatenated present samples."""
    sound = speech[48_000:68_000]
    windows = [
        make_window(sound=sound, spans=spans)
        for spans in (((0, 20_000),), ((12_000, 32_000),), ((777, 10_777), (20_000, 30_000)))
    ]
    shares = [prediction.speech_share for prediction in base_model.predict(windows)]
    assert shares == pytest.approx([original_share(original, sound)] * 3, abs=1e-3)
