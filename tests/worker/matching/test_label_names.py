"""Which labels a text names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.worker.matching.prompt_texts import S, change
from triptych.worker.matching.label_names import LabelVectors, named_labels
from triptych.worker.matching.prompt_timeline import PromptTimeline, PromptVectors

DOG = np.array([1, 0], np.float32)
CAR = np.array([0, 1], np.float32)
NEAR_DOG = np.array([0.8, 0.6], np.float32)
FAR = np.array([-0.8, -0.6], np.float32)


def known(space: str = "semantic-1", **texts: NDArray[np.float32]) -> LabelVectors:
    """Return the vectors of two labels and of some texts, whose underscores are spaces."""
    by_text = {"dog": DOG, "car": CAR} | {name.replace("_", " "): vector for name, vector in texts.items()}
    return LabelVectors(("dog", "car"), space, by_text)


def test_words_come_first() -> None:
    """A text that has the words of a label names no other, however near."""
    assert named_labels(["two dogs"], known(two_dogs=CAR)) == {"dog"}
    assert named_labels(["狗", "a dog"], known(狗=CAR, a_dog=DOG)) == {"dog"}


def test_a_text_without_the_words_names_its_nearest_label_if_that_is_near_enough() -> None:
    """Each text its own. In a space that was not measured, only words count."""
    assert named_labels(["a puppy"], known(a_puppy=NEAR_DOG)) == {"dog"}
    assert named_labels(["a puppy", "轿车"], known(a_puppy=NEAR_DOG, 轿车=CAR)) == {"dog", "car"}
    assert named_labels(["smoke"], known(smoke=FAR)) == frozenset()
    assert named_labels(["a puppy"], known("siglip@1", a_puppy=NEAR_DOG)) == frozenset()


def test_a_negative_does_not_take_away_what_the_prompt_names() -> None:
    """The nearest label of a wolf is the dog as well."""
    prompts = PromptTimeline(0, [change("dogs", "a dog", at_s=0, negatives=["a wolf", "a van"])], known_until_ns=9 * S)
    vectors = PromptVectors(labels=known(a_dog=DOG, a_wolf=NEAR_DOG, a_van=CAR))
    (prompt,) = prompts.with_vectors(vectors).in_effect("city", S).prompts
    assert (prompt.labels, prompt.negative_labels) == ({"dog"}, {"car"})
