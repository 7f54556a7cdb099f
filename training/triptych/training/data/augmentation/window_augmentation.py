"""Random augmentation of single examples before collation. The result depends only on the random generator's seed.

`Augmentation` says what may change. For the light augmentation of whole batches, see `batch_augmentation`.
"""

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
    """Return the random generator of an example at a training step, so that a resumed run gives the same results."""
    return Random(f"{seed}/{step}/{example}")


def augment_example(example: Example, augmentation: Augmentation, rng: Random) -> Example:
    """Return a copy of the example with an augmented window.

    Each modality has its own random generator, so that its result does not depend on the other modalities' settings.
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
    """Return `count` augmented copies of an example, each with its own id and random generator."""
    return [
        replace(
            augment_example(example, augmentation, random_for(seed, number, example.id)), id=f"{example.id}+{number}"
        )
        for number in range(1, count + 1)
    ]


def _rate_hz(window: PreparedWindow) -> int:
    return len(window.audio_f32) * NS_PER_S // (window.end_ns - window.start_ns)
