"""What a question asks for, in whatever language it was asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Language = Literal["en", "zh"]
Sense = Literal["seen", "heard", "said"]
Relation = Literal["while", "before", "after"]


class Wanted(StrEnum):
    """What kind of answer a question wants."""

    WHEN = "when"
    FIRST = "first"
    LAST = "last"
    HOW_MANY = "how many"
    HOW_OFTEN = "how often"
    HOW_LONG = "how long"
    WHO = "who"
    MENTIONED = "who was mentioned"
    WHAT_SEEN = "what was seen"
    WHAT_HEARD = "what was heard"
    WHAT_SAID = "what was said"
    WHICH_STREAM = "which stream"
    EVER = "whether"
    COMPARE = "which more often"


@dataclass(frozen=True, slots=True)
class Clause:
    """Something that may be seen, heard or said: `a dog`, `music`, `the bank`.

    Attributes:
        sense: which of these.
        term: its words; "" means anything.
        is_quoted: whether some of them stood in quotation marks.
    """

    sense: Sense
    term: str
    is_quoted: bool = False


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """An interval of event time, `[start_ns, end_ns)`; None for open ends. `text` are the words of the question."""

    start_ns: int | None
    end_ns: int | None
    text: str


@dataclass(frozen=True, slots=True)
class ParsedQuestion:
    """A question that was understood.

    Attributes:
        wanted: what kind of answer it wants.
        language: the language of the question, and so of the answer.
        about: what it asks about; None for `what was on screen`.
        other: what that is compared with.
        relation: how `about` and `anchor` are related in time.
        anchor: what else happened then.
        negative: whether it asks that something never was.
        also: what it wants to know besides.
        streams: the streams that it names.
        span: the time that it names.
    """

    wanted: Wanted
    language: Language
    about: Clause | None = None
    other: Clause | None = None
    relation: Relation | None = None
    anchor: Clause | None = None
    negative: bool = False
    also: Wanted | None = None
    streams: tuple[str, ...] = ()
    span: TimeSpan | None = None

    def __str__(self) -> str:
        """Return what was understood, in one line."""
        parts = [self.wanted.value, _clause(self.about)]
        parts += [f"{self.relation} {_clause(self.anchor)}"] if self.relation else []
        parts += [f"compared with {_clause(self.other)}"] if self.other else []
        parts += [f"on {', '.join(self.streams)}"] if self.streams else []
        parts += [f"time: {self.span.text}"] if self.span else []
        parts += [f"also {self.also.value}"] if self.also else []
        return " | ".join(part for part in parts if part)


class NotUnderstoodError(ValueError):
    """No rule fits the question. The message says which part."""


def _clause(clause: Clause | None) -> str:
    return "" if clause is None else f"{clause.sense} {clause.term or 'anything'}"
