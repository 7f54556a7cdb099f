"""What is asked for in words: prompts, their changes, and what people said of the matches. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from triptych.schemas.names import PROMPT_PATTERN
from triptych.schemas.perception.matches import Match
from triptych.schemas.results import ModelReference
from triptych.schemas.values import FROZEN_MAPPING, Count, StreamId, Value

SCHEMA_VERSION: Final = 1
MOST_PROMPTS: Final = 64
"""How many prompts a pipeline may have. A new name beyond them has no effect."""
_MOST_TEXTS: Final = 16
_VERSION_DIGITS: Final = 12

PromptName = Annotated[str, StringConstraints(pattern=PROMPT_PATTERN)]
_ChangeId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
_Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
_FeedGlob = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._*?!\[\]-]{1,128}$")]


def _with_words(text: str) -> str:
    if not any(character.isalnum() for character in text) or not text.isprintable():
        msg = "printable words"
        raise ValueError(msg)
    return text


PromptText = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_with_words)]


class Prompt(Value):
    """What the owner of a feed asks for, in words.

    `texts` are translations of the same question by language; `negatives` describe what looks like it and is not
    meant. `feeds` are patterns of stream ids with `*` and `?`.
    """

    name: PromptName
    texts: Annotated[Mapping[_Language, PromptText], Field(min_length=1, max_length=_MOST_TEXTS), *FROZEN_MAPPING]
    negatives: Annotated[tuple[PromptText, ...], Field(max_length=_MOST_TEXTS)] = ()
    feeds: Annotated[tuple[_FeedGlob, ...], Field(min_length=1, max_length=_MOST_TEXTS)] = ("*",)

    @property
    def version(self) -> str:
        """A digest of what decides a match: the texts and the negatives. Which feeds are asked does not count."""
        return digest(*(f"{language}={text}" for language, text in sorted(self.texts.items())), "", *self.negatives)

    def applies_to(self, stream: str) -> bool:
        """Return whether the prompt is asked of a stream."""
        return any(fnmatchcase(stream, feed) for feed in self.feeds)


class PromptChange(Value):
    """A prompt that was set, or, without `prompt`, removed.

    `id` is unique: compaction of the topic keeps every change, so a replay finds the prompts of any time.
    """

    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    id: _ChangeId
    name: PromptName
    prompt: Prompt | None = None

    @property
    def key(self) -> str:
        """The key of the record."""
        return f"{self.name}/{self.id}"


class Feedback(Value):
    """Whether a window fits a prompt, as a person said, and the match that the person judged.

    A later answer for the same result and prompt replaces an earlier one.
    """

    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    result_id: str
    stream: StreamId
    prompt: PromptName
    answer: Literal["yes", "no"]
    match: Match
    model: ModelReference
    given_ns: Count

    @property
    def key(self) -> str:
        """The key of the record."""
        return f"{self.prompt}/{self.result_id}"


def digest(*parts: str) -> str:
    """Return a short digest of texts in their order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_VERSION_DIGITS]
