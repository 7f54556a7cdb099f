"""Change an example by chance. The same chance gives the same change, whatever runs beside it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from triptych.models.window import PreparedWindow
from triptych.training.data.augmentation.audio import augment_audio
from triptych.training.data.augmentation.config import Augmentation
from triptych.training.data.augmentation.images import augment_images
from triptych.training.data.augmentation.text import augment_text
from triptych.training.data.example import Example
from triptych.units import NS_PER_S


def random_for(seed: int, step: int, example: str) -> Random:
    """Return the chance of one example at one step of a training: a training that is resumed meets the same."""
    return Random(f"{seed}/{step}/{example}")


def augment_example(example: Example, augmentation: Augmentation, rng: Random) -> Example:
    """Return the example, its window changed; what is true of it stays true. The given one is left as it is.

    Each modality takes its chance apart, so that what happens to one does not depend on how others are changed.
    """
    picture, sound, words = (Random(rng.getrandbits(64)) for _ in range(3))
    window = example.window
    samples, present = augment_audio(window, augmentation, sound, rate_hz=_rate_hz(window))
    changed = replace(
        window,
        frames_hwc_u8=augment_images(window.frames_hwc_u8, augmentation, picture),
        audio_f32=samples,
        audio_present=present,
        cues=tuple(replace(cue, text=augment_text(cue.text, augmentation, words)) for cue in window.cues),
    )
    return replace(example, window=changed)


def augmented_copies(example: Example, augmentation: Augmentation, count: int, seed: int) -> list[Example]:
    """Return so many changed copies of an example, each of a name and a chance of its own."""
    return [
        replace(
            augment_example(example, augmentation, random_for(seed, number, example.id)), id=f"{example.id}+{number}"
        )
        for number in range(1, count + 1)
    ]


def _rate_hz(window: PreparedWindow) -> int:
    return len(window.audio_f32) * NS_PER_S // (window.end_ns - window.start_ns)
