"""Perturbed windows: without some modalities, with noise, or mixed from several examples. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from random import Random
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from triptych.models.window import PreparedWindow

LEVELS: Final = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Noise levels from 0 to 1: 0 changes nothing, 1 would leave nothing of the signal."""
_TYPOS: Final = "abcdefghijklmnopqrstuvwxyz "


def keep_only(window: PreparedWindow, modalities: Collection[str]) -> PreparedWindow:
    """Return the window without all modalities but these (`video`, `audio`, `text`)."""
    if window.features:
        kept = {modality: features for modality, features in window.features.items() if modality in modalities}
        window = replace(window, features=kept)
    if "video" not in modalities:
        window = replace(window, frames_hwc_u8=(), frame_times_ns=())
    if "audio" not in modalities:
        window = replace(window, audio_f32=np.zeros_like(window.audio_f32), audio_present=())
    return window if "text" in modalities else replace(window, cues=())


def with_noise(window: PreparedWindow, modality: str, level: float, rng: Random) -> PreparedWindow:
    """Return the window with noise in one modality.

    Frames are blended with uniform noise and audio with white noise of its own RMS level. Each character of text is
    replaced with probability `level`. Features are blended with white noise of their own standard deviation.

    Args:
        window: the window.
        modality: the modality to change.
        level: weight of the noise, 0 to 1.
        rng: source of the noise.
    """
    if level == 0:
        return window
    noise = np.random.default_rng(rng.getrandbits(64))
    if modality in window.features:
        signal = window.features[modality]
        mixed = (1 - level) * signal + level * signal.std() * noise.standard_normal(signal.shape, np.float32)
        return replace(window, features={**window.features, modality: mixed.astype(np.float32)})
    if modality == "video":
        frames = tuple(_noisy_picture(frame, level, noise) for frame in window.frames_hwc_u8)
        return replace(window, frames_hwc_u8=frames)
    if modality == "audio":
        return replace(window, audio_f32=_noisy_sound(window, level, noise))
    cues = tuple(replace(cue, text=_with_typos(cue.text, level, rng)) for cue in window.cues)
    return replace(window, cues=cues)


def shuffle_modalities(windows: Sequence[PreparedWindow], anchor: str, rng: Random) -> list[PreparedWindow]:
    """Return the windows with one modality kept and each of the others taken from another window, by a random cycle."""
    return [
        _mixed(window, {modality: windows[others[row]] for modality, others in sources.items()})
        for sources in [{m: _shifted(len(windows), rng) for m in ("video", "audio", "text") if m != anchor}]
        for row, window in enumerate(windows)
    ]


def _mixed(window: PreparedWindow, others: dict[str, PreparedWindow]) -> PreparedWindow:
    foreign = {name: other.features[name] for name, other in others.items() if name in other.features}
    kept = {name: features for name, features in window.features.items() if name not in others}
    window = replace(window, features=kept | foreign)
    if "video" in others:
        other = others["video"]
        window = replace(window, frames_hwc_u8=other.frames_hwc_u8, frame_times_ns=other.frame_times_ns)
    if "audio" in others:
        window = replace(window, audio_f32=others["audio"].audio_f32, audio_present=others["audio"].audio_present)
    return replace(window, cues=others["text"].cues) if "text" in others else window


def _shifted(count: int, rng: Random) -> list[int]:
    """Return a random permutation without fixed points: a random cycle."""
    order = list(range(count))
    rng.shuffle(order)
    following = dict(zip(order, order[1:] + order[:1], strict=True))
    return [following[index] for index in range(count)]


def _noisy_picture(frame: NDArray[np.uint8], level: float, noise: np.random.Generator) -> NDArray[np.uint8]:
    mixed = (1 - level) * frame + level * noise.integers(0, 256, frame.shape)
    return cast("NDArray[np.uint8]", np.rint(mixed).astype(np.uint8))


def _noisy_sound(window: PreparedWindow, level: float, noise: np.random.Generator) -> NDArray[np.float32]:
    sound = window.audio_f32.copy()
    for start, end in window.audio_present:
        part = sound[start:end]
        loudness = float(np.sqrt(np.mean(part**2)))
        sound[start:end] = (1 - level) * part + level * loudness * noise.standard_normal(len(part), np.float32)
    return np.clip(sound, -1, 1)


def _with_typos(text: str, level: float, rng: Random) -> str:
    return "".join(rng.choice(_TYPOS) if rng.random() < level else character for character in text)
