"""Find the names that a cue says, and the speaker that it names. Pure.

The rules are those of written text: a name begins with a capital letter inside a sentence, and subtitles name a speaker
before a colon (`ANNA: Let us go.`). Speech recognition writes names in capitals too. Chinese has no capitals, so only
speakers are found there. An index that is written with a model of named entities has the names of its cues.
"""

# ruff: noqa: RUF001 - people write dashes, apostrophes and colons of several kinds

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_SPEAKER: Final = re.compile(
    r"^\s*[-–—]?\s*(?P<speaker>[^\W\d_][\w.'’ -]{0,30}?)\s*(?::\s|：)\s*(?P<said>\S.*)$", re.DOTALL
)
_MAX_SPEAKER_WORDS: Final = 3
_NAME: Final = re.compile(r"[^\W\d_a-z][^\W\d_]*(?:['’-][^\W\d_]+)*")
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[.!?…:\"“]")
_SENTENCE_ENDS: Final = frozenset('.!?…:"“')
_PARTICLES: Final = frozenset({"of", "the", "de", "la", "van", "von"})
_TITLES: Final = frozenset({"Mr", "Mrs", "Ms", "Dr"})
_DAYS_AND_MONTHS: Final = frozenset({
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "January", "February", "July",
    "September", "October", "November", "December",
})  # fmt: skip
"""Without the months that are first names as well."""
_NO_NAMES: Final = frozenset({"I", "I'm", "I'll", "I've", "I'd", "OK", "TV", *_TITLES, *_DAYS_AND_MONTHS})
_OPENING_WORDS: Final = """
And Are As Ask At But Call Dear Did Do Does For From Has Have He Hello Her Here Hey Hi His How If In Is Let Like Meet My
No Of Oh On Our See She So Tell Thank Thanks That The Their There They This To Was We Well What When Where Who Why With
Yes You Your
"""
_OPENINGS: Final = frozenset(_OPENING_WORDS.split())
"""Words that begin sentences, and are seldom the first word of a name."""


@dataclass(frozen=True, slots=True)
class CueMentions:
    """Who speaks, if the cue says so, and the names in what is said, in order and each once."""

    speaker: str | None
    names: tuple[str, ...]


def mentions_of(cue: Mapping[str, Any]) -> CueMentions:
    """Return the speaker and the names of a cue of an index: those that a model found, if the index was written so."""
    said = cue_mentions(cue["text"])
    return CueMentions(said.speaker, tuple(cue["names"])) if "names" in cue else said


def cue_mentions(text: str) -> CueMentions:
    """Return the speaker and the names of a cue, by the rules."""
    found = _SPEAKER.match(text)
    speaker, said = None, text
    if found is not None and _is_speaker(found["speaker"]):
        speaker, said = " ".join(found["speaker"].split()), found["said"]
    return CueMentions(speaker, tuple(dict.fromkeys(_names(said))))


def _is_speaker(text: str) -> bool:
    """Return whether the words before a colon name somebody: few, and each with a capital or without letter case."""
    words = text.split()
    return 0 < len(words) <= _MAX_SPEAKER_WORDS and not any(word[0].islower() for word in words)


def _names(text: str) -> list[str]:
    names: list[str] = []
    current: list[str] = []
    at_start, before = True, ""
    for word in [*_WORD.findall(text), "."]:
        # The first word of a sentence has a capital anyway, unless the name goes on.
        if _NAME.fullmatch(word) and word not in _NO_NAMES and word[0].isupper():
            current.append(f"^{word}" if at_start else word)
        elif not (current and word in _PARTICLES):
            _take(current, names)
            current = []
        else:
            current.append(word)
        at_start = word in _SENTENCE_ENDS and not (word == "." and before in _TITLES)
        before = word
    return names


def _take(words: list[str], names: list[str]) -> None:
    """Add a name, without the particles at its end, unless it is only the first word of a sentence."""
    while words and words[-1] in _PARTICLES:
        words.pop()
    if len(words) > 1 and words[0].removeprefix("^") in _OPENINGS and words[0].startswith("^"):
        del words[0]
        while words and words[0] in _PARTICLES:
            del words[0]
    if words and not (len(words) == 1 and words[0].startswith("^")) and not "".join(words).isupper():
        names.append(" ".join(words).replace("^", ""))
