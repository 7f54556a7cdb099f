"""The sound event network equals the original, and its bundle is read as what it is."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.models.pretrained.sound_bundle import read_bundle
from triptych.models.pretrained.sound_events import BANDS, SoundEventNetwork, mel_features
from triptych.models.pretrained.weights import SOUND_EVENTS, load_weights

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "app" / "triptych" / "samples"
RATE_HZ = 16_000
REFERENCE = np.load(ROOT / "tests" / "data" / "sounds" / "sound_events.npz")
CLIPS = {"librivox": "librivox_city_15s.mkv", "sintel": "sintel_608_10s.ts", "bbb": "bbb_5s_51ch.mp4"}


@pytest.fixture(scope="module")
def network(weights_folder: Path) -> SoundEventNetwork:
    """Return the network with its weights."""
    return SoundEventNetwork(load_weights(SOUND_EVENTS, weights_folder)).eval()


def sound(name: str) -> torch.Tensor:
    """Return the audio of a reference, float32 [S]."""
    if name == "tone":
        tone = (np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ) * 8_000).astype(np.int16)
        return torch.from_numpy(tone.astype(np.float32) / np.float32(32_768))
    parts: list[NDArray[np.int16]] = []
    with av.open(str(SAMPLES / CLIPS[name])) as container:
        resampler = av.AudioResampler("s16", "mono", RATE_HZ)
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    seconds = 3 if name == "librivox" else 2
    return torch.from_numpy(np.concatenate(parts)[: seconds * RATE_HZ].astype(np.float32) / np.float32(32_768))


@pytest.mark.parametrize("name", [*CLIPS, "tone"])
@torch.inference_mode()
def test_the_probabilities_equal_the_originals(name: str, network: SoundEventNetwork) -> None:
    """The original has weights of single precision, the package those of half precision."""
    audio = sound(name)
    features = torch.from_numpy(REFERENCE[f"{name}_mel"])
    torch.testing.assert_close(mel_features(audio)[::20], features, rtol=0, atol=5e-3)
    torch.testing.assert_close(network.probabilities(audio), torch.from_numpy(REFERENCE[name]), rtol=0, atol=2e-2)


@torch.inference_mode()
def test_the_padding_changes_nothing(network: SoundEventNetwork) -> None:
    """The steps of 1.3 s of audio are padded to 200; without padding they are the same."""
    audio = sound("librivox")[:20_800]
    features = mel_features(audio)
    unpadded = network(features[None], torch.ones(1, len(features), dtype=torch.bool))[0]
    torch.testing.assert_close(network.probabilities(audio), unpadded, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_audio_of_many_lengths_has_few_shapes(network: SoundEventNetwork) -> None:
    """OneDNN caches code for each new shape, so varying shapes would cost memory and time."""
    shapes: set[tuple[int, ...]] = set()
    hook = network.register_forward_pre_hook(lambda _, inputs: shapes.add(tuple(inputs[0].shape)))
    for length in range(1_000, 32_000, 1_700):
        network.probabilities(sound("librivox")[:length])
    hook.remove()
    assert shapes == {(1, 100, BANDS), (1, 200, BANDS)}


@torch.inference_mode()
def test_audio_that_is_too_short_has_no_steps(network: SoundEventNetwork) -> None:
    """A step is computed from 25 ms."""
    assert network.probabilities(torch.zeros(399)).shape == (0, 3)
    assert network.probabilities(torch.zeros(400)).shape == (1, 3)


@pytest.mark.parametrize("content", [b"OVAD\x02" + bytes(19), b"OVAD\x01" + bytes(40), b"PK\x03\x04" + bytes(40)])
def test_another_file_is_not_read_as_a_bundle(content: bytes) -> None:
    """For instance one of another version, or of another size."""
    with pytest.raises(ValueError, match="expected a bundle"):
        read_bundle(content)
