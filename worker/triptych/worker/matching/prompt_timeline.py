"""The prompts of a pipeline over time: which ones are in effect for a decision. Pure.

A change that was appended at arrival time `t` takes effect for the decisions whose arrival clock is `t` + `delay_ns` or
later. Both clocks are in the log, so a replay takes the same decisions with the same prompts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.perception.prompts import MOST_PROMPTS, Prompt, PromptChange, digest
from triptych.worker.matching.label_names import LabelVectors, named_labels
from triptych.worker.matching.label_words import LabelWords, label_words

_CACHED_SETS: Final = 1_024
_SHORTEST: Final = 1e-6
"""Of a mean that has a direction."""


@dataclass(frozen=True, slots=True)
class TextVectors:
    """The vectors of texts in one space, each float32 [D] of length 1, by text."""

    space: str
    by_text: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class PromptVectors:
    """The vectors of the texts of all prompts, in each space in which they are compared with windows.

    Attributes:
        windows: in the space of the windows' vectors; None without such a space.
        sounds: in the space of the windows' sounds, where it is one of its own.
        labels: with those of the labels that the detector may find; None if these are not known.
    """

    windows: TextVectors | None = None
    sounds: TextVectors | None = None
    labels: LabelVectors | None = None


@dataclass(frozen=True, slots=True)
class PromptDirection:
    """Where a prompt lies in a space.

    Attributes:
        space: the name of the space.
        vector: the mean of the vectors of its texts, float32 [D] of length 1. Averaging over phrasings makes a text
            vector more reliable (prompt ensembling, Radford et al. 2021, arXiv:2103.00020).
        negatives: the vectors of the negatives, float32 [N, D].
    """

    space: str
    vector: NDArray[np.float32]
    negatives: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddedPrompt:
    """A prompt as windows are compared with it.

    Attributes:
        name: the prompt's name.
        version: the version of its texts and negatives.
        direction: where it lies in the space of the windows; None without a space.
        words: the words of its texts, which labels of detections are compared with.
        negative_words: the words of the negatives.
        sound_direction: where it lies in the space of sounds, where that is one of its own. Sounds are then compared
            there only.
        labels: the labels that it names, as far as the labels of the detector are known.
        negative_labels: those that a negative names, and the prompt does not.
    """

    name: str
    version: str
    direction: PromptDirection | None
    words: tuple[LabelWords, ...]
    negative_words: tuple[LabelWords, ...]
    sound_direction: PromptDirection | None = None
    labels: frozenset[str] = frozenset()
    negative_labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PromptSet:
    """The prompts in effect for a stream, by name. `version` changes with any of them; None without prompts."""

    prompts: tuple[EmbeddedPrompt, ...] = ()
    version: str | None = None


NO_PROMPTS: Final = PromptSet()
NO_VECTORS: Final = PromptVectors()


@dataclass(frozen=True, slots=True)
class AppendedChange:
    """A change, and when the broker appended it."""

    arrival_ns: int
    change: PromptChange


class PromptSource(Protocol):
    """Tells which prompts are in effect. Any thread may ask."""

    def is_known(self, clock_ns: int) -> bool:
        """Return whether every change that is in effect at this arrival clock has been read."""

    def in_effect(self, stream: str, clock_ns: int) -> PromptSet:
        """Return the prompts of a stream for a decision at this arrival clock."""


class NoPrompts:
    """The source of a worker without prompts."""

    def is_known(self, clock_ns: int) -> bool:  # noqa: ARG002 - as in `PromptSource`
        """Return true: there is nothing to read."""
        return True

    def in_effect(self, stream: str, clock_ns: int) -> PromptSet:  # noqa: ARG002 - as in `PromptSource`
        """Return no prompts."""
        return NO_PROMPTS


class PromptTimeline:
    """The changes of the prompts up to a moment. It never changes; `extended` returns a longer one."""

    def __init__(
        self,
        delay_ns: int,
        changes: Sequence[AppendedChange] = (),
        vectors: PromptVectors = NO_VECTORS,
        *,
        known_until_ns: int = -1,
    ) -> None:
        """Create a timeline.

        Args:
            delay_ns: how long after its arrival a change takes effect, in arrival time.
            changes: the changes, in the order of the log.
            vectors: the vectors of the texts of all changes.
            known_until_ns: every change that arrived before this time is among `changes`.
        """
        self._delay_ns = delay_ns
        self._changes = tuple(changes)
        self._effective_ns = [appended.arrival_ns + delay_ns for appended in self._changes]
        self._vectors = vectors
        self._known_until_ns = known_until_ns
        self._sets: dict[tuple[str, int], PromptSet] = {}

    @property
    def texts(self) -> set[str]:
        """The texts and negatives of all changes."""
        prompts = [appended.change.prompt for appended in self._changes]
        return {text for prompt in prompts if prompt for text in (*prompt.texts.values(), *prompt.negatives)}

    @property
    def changes(self) -> int:
        """The number of changes."""
        return len(self._changes)

    def extended(self, changes: Iterable[AppendedChange], *, known_until_ns: int) -> PromptTimeline:
        """Return a timeline with further changes, which is known until a later moment. It has the same vectors."""
        known_until_ns = max(known_until_ns, self._known_until_ns)
        longer = PromptTimeline(
            self._delay_ns, (*self._changes, *changes), self._vectors, known_until_ns=known_until_ns
        )
        if longer.changes == self.changes:
            longer._sets = self._sets
        return longer

    def with_vectors(self, vectors: PromptVectors) -> PromptTimeline:
        """Return the same timeline with the vectors of its texts."""
        return PromptTimeline(self._delay_ns, self._changes, vectors, known_until_ns=self._known_until_ns)

    def emptied(self) -> PromptTimeline:
        """Return a timeline without changes, of which nothing is known yet."""
        return PromptTimeline(self._delay_ns)

    def is_known(self, clock_ns: int) -> bool:
        """Return whether every change that is in effect at this arrival clock is among those of the timeline."""
        return clock_ns - self._delay_ns < self._known_until_ns

    def in_effect(self, stream: str, clock_ns: int) -> PromptSet:
        """Return the prompts of a stream for a decision at this arrival clock."""
        count = bisect_right(self._effective_ns, clock_ns)
        if not count:
            return NO_PROMPTS  # not kept for each stream: there may be many, and most workers have no prompts
        key = (stream, count)
        known = self._sets.get(key)
        if known is None:
            known = self._set_of(stream, count)
            if len(self._sets) >= _CACHED_SETS:
                self._sets.clear()
            self._sets[key] = known
        return known

    def _set_of(self, stream: str, count: int) -> PromptSet:
        prompts = prompts_after(appended.change for appended in self._changes[:count])
        wanted = [self._embedded(prompt) for prompt in prompts.values() if prompt.applies_to(stream)]
        if not wanted:
            return NO_PROMPTS
        return PromptSet(tuple(wanted), digest(*(f"{prompt.name}={prompt.version}" for prompt in wanted)))

    def _embedded(self, prompt: Prompt) -> EmbeddedPrompt:
        labels, negative_labels = _labels_of(prompt, self._vectors.labels)
        return EmbeddedPrompt(
            name=prompt.name,
            version=prompt.version,
            direction=_direction_of(prompt, self._vectors.windows),
            words=tuple(map(label_words, prompt.texts.values())),
            negative_words=tuple(map(label_words, prompt.negatives)),
            sound_direction=_direction_of(prompt, self._vectors.sounds),
            labels=labels,
            negative_labels=negative_labels,
        )


def prompts_after(changes: Iterable[PromptChange]) -> dict[str, Prompt]:
    """Return the prompts after some changes, by name in alphabetical order.

    A name beyond the `MOST_PROMPTS` first ones has no effect, so that no writer can slow the workers down.
    """
    prompts: dict[str, Prompt] = {}
    for change in changes:
        if change.prompt is None:
            prompts.pop(change.name, None)
        elif change.name in prompts or len(prompts) < MOST_PROMPTS:
            prompts[change.name] = change.prompt
    return dict(sorted(prompts.items()))


def _labels_of(prompt: Prompt, known: LabelVectors | None) -> tuple[frozenset[str], frozenset[str]]:
    """Return the labels that the prompt names, and those that its negatives name."""
    if known is None:
        return frozenset(), frozenset()
    labels = named_labels(tuple(prompt.texts.values()), known)
    negative = frozenset(label for text in prompt.negatives for label in named_labels((text,), known))
    return labels, negative - labels  # the nearest label of "a wolf" is that of "a dog"


def _direction_of(prompt: Prompt, vectors: TextVectors | None) -> PromptDirection | None:
    if vectors is None:
        return None
    mean: NDArray[np.float32] = np.stack([vectors.by_text[text] for text in prompt.texts.values()]).mean(0)
    direction: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), _SHORTEST)).astype(np.float32)
    negatives = [vectors.by_text[text] for text in prompt.negatives]
    stacked = np.stack(negatives) if negatives else np.empty((0, len(direction)), np.float32)
    return PromptDirection(vectors.space, direction, stacked)
