"""Batches change slightly and reproducibly, and missing modalities stay missing."""

from __future__ import annotations

import numpy as np
import torch

from triptych.models.model import InputSpec
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.encoders.hashed_words import PRESENT, hash_words
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.training.data.augmentation.batch_augmentation import Jitter, jitter_batch, jitter_window

SPEC = InputSpec(2, 32, 32, 16_000, 24)
NOTHING = Jitter(shift=0, colour=0, pixel_noise=0, gain=0, snr_db=200, words=0)
SPAN = (4_000, 20_000)


def batch() -> WindowBatch:
    """Return a batch of a complete window, whose audio has a gap, and an empty window."""
    random = np.random.default_rng(1)
    sound = np.zeros(32_000, np.float32)
    sound[slice(*SPAN)] = random.normal(0, 0.1, SPAN[1] - SPAN[0])
    picture = np.full((32, 32, 3), 128, np.uint8)
    cue = PreparedCue("the quick brown fox jumps over the lazy dog", 0, 1)
    full = PreparedWindow("s", 0, 2_000_000_000, (picture, picture), (0, 1), sound, (SPAN,), (cue,))
    empty = PreparedWindow("s", 0, 2_000_000_000, (), (), np.zeros(32_000, np.float32), (), ())
    return collate([full, empty], empty_batch(2, 32_000, SPEC), hash_words)


def changed(how: Jitter, seed: int = 1, *, hashed_words: bool = True) -> WindowBatch:
    """Return a changed copy."""
    return jitter_batch(batch(), how, torch.Generator().manual_seed(seed), hashed_words=hashed_words)


def test_zero_strength_changes_nothing() -> None:
    """So each parameter has its own effect."""
    same, before = changed(NOTHING), batch()

    assert torch.equal(same.video, before.video)
    assert torch.equal(same.text, before.text)
    torch.testing.assert_close(same.audio, before.audio)


def test_the_same_seed_gives_the_same_change() -> None:
    """Training is reproducible."""
    one, again, other = changed(Jitter()), changed(Jitter()), changed(Jitter(), seed=2)

    assert torch.equal(one.video, again.video)
    assert torch.equal(one.audio, again.audio)
    assert torch.equal(one.text, again.text)
    assert not torch.equal(one.video, other.video)
    assert not torch.equal(one.audio, other.audio)


def test_changes_are_small_and_gaps_stay() -> None:
    """The label stays valid."""
    after, before = changed(Jitter()), batch()

    assert (after.video[0].float() - 128).abs().mean() < 0.3 * 128
    gap = torch.ones(32_000).bool()
    gap[slice(*SPAN)] = False
    assert not after.audio[0, gap].any()
    assert 0.5 < float(after.audio[0].norm() / before.audio[0].norm()) < 1.5
    assert not after.audio[1].any()
    for mask in ("video_mask", "audio_mask", "text_mask"):
        assert torch.equal(getattr(after, mask), getattr(before, mask))


def test_some_words_are_replaced() -> None:
    """About as many as requested. Padding stays, and tokens that are not hashed words stay."""
    after, before = changed(Jitter(words=0.5)), batch()
    there = before.text_mask[0]

    assert 0.3 < float((after.text[0][there] != before.text[0][there]).double().mean()) <= 1
    assert ((after.text[0][there] & PRESENT) > 0).all()
    assert not after.text[0][~there].any()
    assert torch.equal(changed(Jitter(words=0.5), hashed_words=False).text, before.text)


def test_a_frame_is_shifted_and_its_edge_repeated() -> None:
    """Both frames of a window in the same way."""
    marked = batch()
    marked.video[0, :, 16, 16] = 255
    moved = jitter_batch(
        marked, Jitter(shift=0.2, colour=0, pixel_noise=0), torch.Generator().manual_seed(3), hashed_words=True
    )
    places = [torch.nonzero(moved.video[0, picture, :, :, 0] == 255).tolist() for picture in range(2)]

    assert places[0] == places[1]
    assert len(places[0]) == 1
    assert places[0] != [[16, 16]]
    assert int((moved.video[0] == 0).sum()) == 0


def test_a_window_can_be_shown_as_training_gets_it() -> None:
    """Frames, audio and text are those of the batch. Replaced words have no spelling."""
    random = np.random.default_rng(1)
    sound = random.normal(0, 0.1, 32_000).astype(np.float32)
    picture = random.integers(0, 256, (32, 32, 3), np.uint8)
    cues = (PreparedCue("all is well", 0, 1), PreparedCue("today", 0, 1))
    window = PreparedWindow("s", 0, 2_000_000_000, (picture,), (0,), sound, ((0, 32_000),), cues)
    collated = collate([window], empty_batch(1, 32_000, SPEC), hash_words)
    seen = jitter_batch(collated, Jitter(), torch.Generator().manual_seed(3), hashed_words=True)
    shown = jitter_window(window, SPEC, Jitter(), torch.Generator().manual_seed(3))
    assert np.array_equal(shown.frames_hwc_u8[0], seen.video[0, 0].numpy())
    assert np.array_equal(shown.audio_f32, seen.audio[0].numpy())

    def words(share: float) -> list[str]:
        how = Jitter(words=share)
        return [cue.text for cue in jitter_window(window, SPEC, how, torch.Generator().manual_seed(3)).cues]

    assert words(0) == ["all is well", "today"]
    assert words(1) == ["▢ ▢ ▢", "▢"]
    assert any("~" in text for text in words(0.3))
