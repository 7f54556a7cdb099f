"""The small encoders (`small_video.py`, `small_audio.py`, `small_text.py`): tokens depend only on their own input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.models.model import InputSpec
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.encoders.hashed_words import hash_words
from triptych.models.network.encoders.small_audio import SmallAudioEncoder
from triptych.models.network.encoders.small_text import SmallTextEncoder
from triptych.models.network.encoders.small_video import SmallVideoEncoder
from triptych.models.network.parts import Encoder
from triptych.models.window import PreparedCue, PreparedWindow

SPEC = InputSpec(frames=3, height=32, width=32, sample_rate_hz=16_000, text_tokens=16)
SAMPLES = 32_000
MakeWindow = Callable[..., PreparedWindow]


def batch_of(*windows: PreparedWindow) -> WindowBatch:
    """Collate windows into a batch with as many rows."""
    return collate(windows, empty_batch(len(windows), SAMPLES, SPEC), hash_words)


def rows_run(encoder: Encoder, part: nn.Module, batch: WindowBatch) -> int:
    """Record how many rows a part of the encoder processes."""
    seen: list[int] = []
    with part.register_forward_hook(lambda _module, args, _out: seen.append(args[0].shape[0])):
        encoder(batch)
    return sum(seen)


@pytest.mark.parametrize(
    ("modality", "build"), [("video", SmallVideoEncoder), ("audio", SmallAudioEncoder), ("text", SmallTextEncoder)]
)
def test_tokens_do_not_depend_on_the_batch(
    modality: str, build: Callable[[], Encoder], noise_window: MakeWindow
) -> None:
    """Tokens do not depend on other rows, with or without the modality."""
    encoder = build().eval()
    others = [noise_window(2, "text"), noise_window(3, "video"), noise_window(4, "audio")]
    alone = encoder(batch_of(noise_window(1, modality)))
    in_batch = encoder(batch_of(*others, noise_window(1, modality)))

    assert alone.mask.any()
    assert torch.equal(alone.mask[0], in_batch.mask[3])
    torch.testing.assert_close(alone.tokens[0], in_batch.tokens[3])


def test_rows_without_the_modality_are_not_run(noise_window: MakeWindow) -> None:
    """Rows without the modality are not run."""
    batch = batch_of(noise_window(1, "video"), noise_window(2, "audio"), noise_window(3, "text"), noise_window(4))
    video, audio, text = SmallVideoEncoder(), SmallAudioEncoder(), SmallTextEncoder()

    assert rows_run(video, video.trunk, batch) == 2 * 3
    assert rows_run(audio, audio.trunk, batch) == 2
    assert rows_run(text, text.table, batch) == 2


def test_audio_is_in_the_token_of_its_time(make_window: MakeWindow) -> None:
    """A click only changes the tokens around it. Tokens in a gap are masked."""
    quiet = np.zeros(SAMPLES, np.float32)
    click = quiet.copy()
    click[16_000:16_200] = 0.5
    encoder = SmallAudioEncoder().eval()
    encoded = encoder(batch_of(make_window(sound=quiet), make_window(sound=click)))
    change = (encoded.tokens[1] - encoded.tokens[0]).norm(dim=-1)
    times = encoded.times

    assert times is not None
    assert abs(float(times[0, change.argmax()]) - 0.5) < 0.1
    gap = encoder(batch_of(make_window(sound=quiet[:8_000], spans=((0, 5_000), (20_000, 23_000))))).mask[0]
    assert gap.tolist() == [index * 2_560 < 5_000 or 17_920 <= index * 2_560 < 23_000 for index in range(13)]


def test_spectrograms_have_values_of_about_one(speech: NDArray[np.float32]) -> None:
    """The scaled spectrogram of real speech has values of about 1, which makes training stable."""
    spectrum: Tensor = SmallAudioEncoder().spectrum(torch.from_numpy(speech[None, :SAMPLES]))

    assert spectrum.shape == (1, 64, 200)
    assert abs(float(spectrum.mean())) < 1
    assert 0.3 < float(spectrum.std()) < 2


def test_words_depend_on_their_neighbours_in_the_same_cue(make_window: MakeWindow) -> None:
    """The word "good" in "not good" differs from that in "very good", and each word has the time of its cue."""
    encoder = SmallTextEncoder().eval()

    def word(text: str, place: int) -> Tensor:
        encoded = encoder(batch_of(make_window(cues=(PreparedCue(text, 500_000_000, 2_000_000_000),))))
        assert encoded.times is not None
        assert float(encoded.times[0, place]) == 0.25
        return encoded.tokens[0, place]

    assert not torch.allclose(word("not good", 2), word("very good", 2))
    torch.testing.assert_close(word("good", 1), word("GOOD", 1))
