"""Windows change as configured, depending on the given random generator only. What is off changes nothing."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch

from triptych.models.window import PreparedCue, PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.training.data.augmentation.config import USUAL, Augmentation, parse_augmentation
from triptych.training.data.augmentation.window_augmentation import augment_example, random_for
from triptych.training.data.example import Example

RATE_HZ = 16_000
SAMPLES = 2 * RATE_HZ


def example(text: str = "one two three four five six seven eight") -> Example:
    """Two equal frames, bright on the left; a tone for 1.5 s after a quarter of silence; text."""
    picture = np.zeros((40, 48, 3), np.uint8)
    picture[:, :24] = (250, 120, 60)
    time = np.arange(SAMPLES) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.3 * np.sin(2 * np.pi * 3_000 * time)
    tone[:4_000] = 0
    tone[28_000:] = 0
    window = PreparedWindow(
        stream="s", start_ns=0, end_ns=2_000_000_000, frames_hwc_u8=(picture, picture.copy()),
        frame_times_ns=(0, 1), audio_f32=tone.astype(np.float32), audio_present=((4_000, 28_000),),
        cues=(PreparedCue(text, 0, 1, "en"),),
    )  # fmt: skip
    return Example("e", window, 1, {"video/label": 2}, "g")


def changed(**options: float) -> PreparedWindow:
    """Return the window after one change with a fixed seed."""
    return augment_example(
        example(), parse_augmentation(f"{name}={value}" for name, value in options.items()), Random(5)
    ).window


def same_sound(one: PreparedWindow, other: PreparedWindow) -> bool:
    """Return whether the audio is equal bit by bit."""
    return np.array_equal(one.audio_f32, other.audio_f32) and one.audio_present == other.audio_present


def same_pictures(one: PreparedWindow, other: PreparedWindow) -> bool:
    """Return whether the frames are equal bit by bit."""
    return np.array_equal(np.stack(one.frames_hwc_u8), np.stack(other.frames_hwc_u8))


def test_the_default_changes_nothing() -> None:
    """Bit by bit."""
    before, after = example().window, changed()
    assert same_sound(before, after)
    assert same_pictures(before, after)
    assert before.cues == after.cues


def test_the_same_seed_gives_the_same_change() -> None:
    """Whatever torch's own random state. Another step gives another change. The given example stays as it is."""
    given = example()
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results.append(augment_example(given, replace(USUAL, flip=0.5), random_for(7, 3, given.id)))
    assert same_sound(results[0].window, results[1].window)
    assert same_pictures(results[0].window, results[1].window)
    assert results[0].window.cues == results[1].window.cues
    other = augment_example(given, USUAL, random_for(7, 4, given.id)).window
    assert not same_sound(results[0].window, other)
    assert not same_pictures(results[0].window, other)
    assert (results[0].target, results[0].parts, results[0].group) == (1, {"video/label": 2}, "g")
    assert same_pictures(given.window, example().window)
    assert same_sound(given.window, example().window)


def test_torchs_random_state_is_not_used() -> None:
    """Weights and dropout do not depend on whether windows are augmented."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    augment_example(example(), replace(USUAL, flip=0.5), Random(0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["crop", "flip", "colour", "scale", "rotate_deg"])
def test_each_change_of_frames_is_independent(name: str) -> None:
    """All frames change alike and keep their size. Audio and text stay."""
    before, after = example().window, changed(**{name: 1 if name == "flip" else 0.9})
    assert not same_pictures(before, after)
    assert np.array_equal(*after.frames_hwc_u8)
    assert after.frames_hwc_u8[0].shape == (40, 48, 3)
    assert after.frames_hwc_u8[0].dtype == np.uint8
    assert same_sound(before, after)
    assert before.cues == after.cues


def test_flip_mirrors_the_frames() -> None:
    """And changes nothing else."""
    assert np.array_equal(changed(flip=1).frames_hwc_u8[0], example().window.frames_hwc_u8[0][:, ::-1])


def test_one_change_does_not_depend_on_another() -> None:
    """The noise is the same with and without word dropout and rotation."""
    assert same_sound(changed(noise=1), changed(noise=1, word_dropout=0.5, rotate_deg=20))
    assert same_pictures(changed(rotate_deg=20), changed(rotate_deg=20, noise=1, spans=2))


def test_noise_has_the_requested_signal_to_noise_ratio() -> None:
    """In decibels, where there is audio. Missing audio stays missing."""
    before, after = example().window.audio_f32, changed(noise=1, snr_low_db=12, snr_high_db=12).audio_f32
    noise = (after - before)[4_000:28_000]
    ratio = 10 * np.log10(np.square(before[4_000:28_000]).sum() / np.square(noise).sum())
    assert ratio == pytest.approx(12, abs=0.1)
    assert not after[:4_000].any()
    assert not after[28_000:].any()


def test_audio_is_shifted_with_its_ranges() -> None:
    """And cut at the end of the window."""
    before, after = example().window, changed(shift_ms=400)
    (first, last), by = after.audio_present[0], after.audio_present[0][0] - 4_000
    assert by
    assert last == min(SAMPLES, 28_000 + by)
    assert np.array_equal(after.audio_f32[first:last], before.audio_f32[4_000 : last - by])
    assert not after.audio_f32[:first].any()
    assert not after.audio_f32[last:].any()


def test_bands_and_spans_are_masked() -> None:
    """A frequency mask removes one of two tones, and a time mask is silent. Without masks the audio stays as it is."""
    before = example().window.audio_f32[8_000:24_000]
    powers = [
        np.abs(
            np.fft.rfft(
                augment_example(example(), Augmentation(bands=6, band_share=0.5), Random(seed)).window.audio_f32
            )
        )
        for seed in range(6)
    ]
    tones = [(power[880] > 100, power[6_000] > 100) for power in powers]  # two seconds: half a hertz each
    assert len(set(tones)) > 1
    spans = [
        augment_example(example(), Augmentation(spans=1, span_share=1.0), Random(seed)).window.audio_f32
        for seed in range(6)
    ]
    assert not any(sound[:4_000].any() or sound[28_000:].any() for sound in spans)
    assert any((np.abs(sound[4_000:28_000]) < 1e-6).mean() > 0.2 for sound in spans)
    whole = changed(spans=1, span_share=0).audio_f32[8_000:24_000]
    assert np.abs(whole - before).max() < 1e-5


@pytest.mark.parametrize(
    "text", ["one two three four five six seven eight", "\u4eca\u5929\u5929\u6c14\u771f\u597d", "one"]
)
def test_words_are_dropped_and_one_stays(text: str) -> None:
    """In order, in any script."""
    lengths = set()
    for seed in range(30):
        after = augment_example(example(text), Augmentation(word_dropout=0.7), Random(seed)).window.cues[0]
        rest = iter(text.split() if " " in text else text)
        assert after.text
        assert all(word in rest for word in (after.text.split() if " " in text else after.text))
        assert after.language == "en"
        lengths.add(len(after.text))
    assert len(lengths) == 1 if text == "one" else len(lengths) > 3


def test_missing_modalities_stay_missing() -> None:
    """Augmentation adds no modality."""
    empty = replace(
        example().window, frames_hwc_u8=(), frame_times_ns=(), audio_f32=np.zeros(SAMPLES, np.float32),
        audio_present=(), cues=(),
    )  # fmt: skip
    after = augment_example(replace(example(), window=empty), replace(USUAL, noise=1.0), Random(0)).window
    assert after.is_empty
    assert not after.audio_f32.any()


def test_silence_stays_silent() -> None:
    """Noise relative to zero power is zero."""
    silent = replace(example().window, audio_f32=np.zeros(SAMPLES, np.float32))
    after = augment_example(replace(example(), window=silent), Augmentation(noise=1, bands=1), Random(0)).window
    assert not after.audio_f32.any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["flop=1"], "expected usual, or NAME=VALUE of crop"),
        (["unusual"], "expected usual"),
        (["flip=often"], "flip: expected a number"),
        (["bands=1.5"], "bands: expected a whole number"),
        (["flip=2"], "flip: expected 0 to 1, got 2"),
        (["crop=nan"], "crop: expected 0 to 0.95"),
        (["snr_low_db=40"], "snr_high_db: expected 40 to 200, got 30"),
    ],
)
def test_invalid_settings_are_rejected(given: list[str], message: str) -> None:
    """The message says what was expected."""
    with pytest.raises(UsageError, match=message):
        parse_augmentation(given)


def test_the_usual_settings_can_be_overridden() -> None:
    """By the arguments that follow."""
    assert parse_augmentation(["usual", "flip=0.5", "bands=3"]) == replace(USUAL, flip=0.5, bands=3)
