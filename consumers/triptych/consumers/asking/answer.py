"""The answer to a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from triptych.consumers.asking.lookup import Occurrence
from triptych.consumers.asking.parsing.question import Language, Sense

Outcome = Literal["answered", "not_found", "not_understood"]
Value = bool | int | float | tuple[int, int] | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Citation:
    """What a sentence of a language model cites, by the number in its brackets."""

    number: int
    source: Occurrence


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question.

    Attributes:
        outcome: whether there is an answer: `not_found` if nothing in the index supports one, `not_understood` if no
            rule fits the question.
        text: the answer in the language of the question.
        language: that language.
        understood: what was understood, in one line; empty if nothing was.
        wanted: what kind of answer was wanted, such as `when`; empty if that was not understood.
        value: the answer as a value: a number for `how many`, `how often` and `how long` (seconds); true or false for
            `whether`; names for `who`, `what` and `which stream`; both numbers for a comparison; None for times, which
            are those of the moments.
        moments: when it was, with the results that show it, in order of time.
        notes: what the user should know about the answer.
        term: what the question asked about, for a following question.
        sense: whether that was to be `seen`, `heard` or `said`; empty without a term.
        worded: what a language model wrote of it, if one was asked: only sentences whose citations support them.
        citations: what these sentences cite.
        dropped: what the model wrote besides.
        model_problem: why the model wrote nothing; empty if it did, or was not asked.
        brief: the text without the times of the moments, to stand above a list of them; empty if the text has none.
    """

    outcome: Outcome
    text: str
    language: Language
    understood: str = ""
    wanted: str = ""
    value: Value = None
    moments: tuple[Occurrence, ...] = ()
    notes: tuple[str, ...] = ()
    term: str = ""
    sense: Sense | Literal[""] = ""
    worded: str = ""
    citations: tuple[Citation, ...] = ()
    dropped: tuple[str, ...] = ()
    model_problem: str = ""
    brief: str = ""

    @property
    def results(self) -> tuple[str, ...]:
        """The ids of all results that support the answer, each once."""
        return tuple(dict.fromkeys(result for moment in self.moments for result in moment.results))
