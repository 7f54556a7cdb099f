"""A small space for tests: each word is a direction, and a text is the sum of its words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from triptych.models.prediction import WindowVectors
from triptych.schemas.perception.prompts import Prompt, PromptChange
from triptych.worker.matching.prompt_timeline import AppendedChange, PromptTimeline, PromptVectors, TextVectors

SPACE = "words-1"
WORDS = ("fire", "feuer", "sunset", "dog", "smoke", "street", "music", "rain")
S = 1_000_000_000


def word_vector(text: str) -> NDArray[np.float32]:
    """Return the direction of the words of a text, float32 [8]."""
    counts = np.array([text.casefold().split().count(word) for word in WORDS], np.float32) + 1e-3
    return np.asarray(counts / np.linalg.norm(counts), np.float32)


class WordSpace:
    """The texts of the space (see `TextSpace`)."""

    def __init__(self, name: str = SPACE) -> None:
        self.name = name
        self.embedded: list[str] = []

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of texts, and note which were embedded."""
        self.embedded += texts
        return np.stack([word_vector(text) for text in texts]) if texts else np.empty((0, len(WORDS)), np.float32)


def change(
    name: str, text: str | None = None, *, at_s: float, negatives: Sequence[str] = (), feeds: str = "*"
) -> AppendedChange:
    """Return a change that was appended at some second; without a text, a removal."""
    prompt = None if text is None else Prompt(name=name, texts={"en": text}, negatives=tuple(negatives), feeds=(feeds,))
    return AppendedChange(
        round(at_s * S), PromptChange(id=f"{name}-{at_s:g}".replace(".", "-"), name=name, prompt=prompt)
    )


def timeline(*changes: AppendedChange, delay_s: float = 5, known_until_s: float = 1_000) -> PromptTimeline:
    """Return a timeline of changes, with the vectors of their texts."""
    bare = PromptTimeline(round(delay_s * S), changes, known_until_ns=round(known_until_s * S))
    return bare.with_vectors(PromptVectors(TextVectors(SPACE, {text: word_vector(text) for text in bare.texts})))


def vectors(
    *, video: str | None = None, audio: str | None = None, subtitles: str | None = None, frames: Sequence[str] = ()
) -> WindowVectors:
    """Return the vectors of a window with these words in its modalities."""
    own = {
        name: word_vector(text) for name, text in (("video", video), ("audio", audio), ("subtitles", subtitles)) if text
    }
    shown = np.stack([word_vector(text) for text in frames]) if frames else None
    return WindowVectors(SPACE, word_vector("street"), frames=shown, **own)
