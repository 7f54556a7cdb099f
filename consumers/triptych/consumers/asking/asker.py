"""Ask an index: parse the question, look its parts up, and answer with times and evidence.

asker = Asker.open("/var/lib/triptych/index")
answer = asker.ask("When did someone mention the bank, and what was on screen?")
print(answer.text, answer.results)
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, Self

from triptych.consumers.asking.answer import Answer, Citation
from triptych.consumers.asking.answering import (
    FoundAnswer,
    NothingFoundError,
    answer_parsed,
    next_after,
    next_before,
)
from triptych.consumers.asking.grounded import (
    MAX_QUOTES,
    GroundedText,
    GroundedWriter,
    NumberedQuote,
    numbered_quotes,
)
from triptych.consumers.asking.lookup import MAX_WINDOWS, AskLimits, AskScope, IndexLookup, Occurrence
from triptych.consumers.asking.parsing.parse import UnderstoodQuestion, UnknownStreamError, language_of, parse_question
from triptych.consumers.asking.parsing.question import (
    Clause,
    Language,
    NotUnderstoodError,
    ParsedQuestion,
    Sense,
    Wanted,
)
from triptych.consumers.asking.parsing.thing_names import ALIAS_FILE, ThingNames
from triptych.consumers.asking.session import FollowUp, LastAnswer, follow_up
from triptych.consumers.asking.wording import say, shown_time, worded
from triptych.consumers.searching.graph.window_graph import WindowGraphError
from triptych.consumers.searching.index_store import IndexReadError
from triptych.consumers.searching.search import MomentQuery, MomentSearch
from triptych.consumers.searching.window_index import WindowIndex

_ODD: Final = re.compile(
    r"\b(?:in|on|at|within|between|from|during|until|since|before|after|past|last|next|few|couple|ago|except|but|all|only|"
    r"exactly|less|more|than|by|now|today|every|each|and|with|"
    r"(?:second|minute|hour|day|week|month|year|camera|stream|feed|channel)s?|\d+(?:st|nd|rd|th)?)\b|"
    r"最近|[几前]天|[一二三四五六七八九十\d]年|现在|目前|[一二两三四五六七八九十几\d]+[个只辆条位名]|[\w.-]+[上里]|多少|和|与|跟|比|先"
)
"""Words of English and Chinese that are seldom a part of the name of a thing."""
_EVERYWHERE: Final = AskScope()
_NO_LIMITS: Final = AskLimits()


class Asker:
    """Answers questions about one index. Not thread-safe; each question blocks while the index works."""

    def __init__(self, index: WindowIndex, names: ThingNames, writer: GroundedWriter | None = None) -> None:
        """Ask an index that has a graph.

        Args:
            index: the index.
            names: names that mean the same.
            writer: a language model that words the answers.

        Raises:
            WindowGraphError: the index has no graph.
        """
        self._index = index
        self._names = names
        self._writer = writer
        self._lookup = IndexLookup(index, names)
        self._looked_up = index.meta

    @classmethod
    def open(cls, folder: Path | str, alias_file: Path | None = None, writer: GroundedWriter | None = None) -> Self:
        """Open the index in a folder.

        Args:
            folder: the folder of the index.
            alias_file: TOML with other names; `aliases.toml` in the folder by default.
            writer: a language model that words the answers.

        Raises:
            IndexFolderError: the folder holds no index.
            WindowGraphError: the index has no graph.
            UsageError: the alias file is invalid.
        """
        names = ThingNames.load(alias_file or Path(folder) / ALIAS_FILE)
        return cls(WindowIndex.open(Path(folder)), names, writer)

    @property
    def pipeline(self) -> str:
        """The pipeline of the index."""
        return self._index.meta.pipeline

    @property
    def lookup(self) -> IndexLookup:
        """Look up what the newest version of the index holds."""
        self._index.refresh()
        if self._index.meta != self._looked_up:
            self._lookup = IndexLookup(self._index, self._names)
            self._looked_up = self._index.meta
        self._lookup.is_cut = False
        return self._lookup

    def _limited(self, limits: AskLimits) -> IndexLookup:
        return self.lookup if limits == _NO_LIMITS else self.lookup.limited(limits)

    async def ask_async(self, question: str, scope: AskScope = _EVERYWHERE, last: LastAnswer | None = None) -> Answer:
        """Answer without blocking the event loop. One question at a time."""
        return await asyncio.to_thread(self.ask, question, scope, last)

    def ask(
        self,
        question: str,
        scope: AskScope = _EVERYWHERE,
        last: LastAnswer | None = None,
        limits: AskLimits = _NO_LIMITS,
    ) -> Answer:
        """Answer a question in English or Chinese.

        Args:
            question: the question.
            scope: the streams and times to look at; the question may name narrower ones.
            last: the answer before, which this question may refer to.
            limits: which streams may be looked at, and for how long.

        Raises:
            SearchIndexError: the index was deleted meanwhile, or cannot be read.
            QuestionStoppedError, RequestStoppedError: the question was stopped, as the limits have it.
        """
        try:
            return self._ask(question, scope, last, limits)
        except (IndexReadError, WindowGraphError):  # the writer may have deleted the version that was read
            return self._ask(question, scope, last, limits)

    def _ask(self, question: str, scope: AskScope, last: LastAnswer | None, limits: AskLimits) -> Answer:
        lookup = self._limited(limits)
        with self._index.errors_told(IndexReadError):
            answer = self._by_rules(question, scope, last, lookup)
        if self._writer is None or answer.outcome == "not_found":
            return answer
        if answer.outcome == "not_understood":
            return self._from_search(question, lookup.within(scope), answer, lookup, self._writer)
        quotes = numbered_quotes(*_said_and_seen(answer.moments))
        written = self._writer.write(_task(question, answer), quotes, answer.language, limits.stopped)
        return _with_text(answer, written, quotes)

    def _by_rules(self, question: str, scope: AskScope, last: LastAnswer | None, lookup: IndexLookup) -> Answer:
        language = language_of(question)
        bounds = lookup.bounds
        if bounds is None:
            return Answer("not_found", say("empty", language), language)

        def parsed(text: str) -> UnderstoodQuestion:
            return parse_question(text, bounds.streams, bounds.end_ns)

        try:
            follow = follow_up(question, last or LastAnswer(), lambda text: parsed(text).asked)
            if follow.stream:
                scope = scope.narrowed(AskScope((follow.stream,)))
            if follow.next_to:
                return self._next_to(follow, lookup, scope, language)
            if follow.end_ns:
                scope = scope.narrowed(AskScope((), follow.start_ns, follow.end_ns))
            understood = parsed(follow.text)
        except NotUnderstoodError as error:
            return _not_understood(str(error), language)
        except UnknownStreamError as error:
            streams = ", ".join(bounds.streams)
            return Answer("not_found", say("no stream", language, term=error, streams=streams), language)
        answer = _answered(understood.asked, lookup, _scope_of(understood.asked, scope))
        notes = (say("clock", language, time=shown_time(bounds.end_ns)),) if understood.is_relative else ()
        return replace(answer, notes=(*answer.notes, *notes))

    def _from_search(
        self, question: str, scope: AskScope, refused: Answer, lookup: IndexLookup, writer: GroundedWriter
    ) -> Answer:
        """Answer a question that no rule fits from what a search by its words finds."""
        quotes = self._quotes_found(MomentQuery(question, scope.streams, scope.since_ns, scope.until_ns), lookup)
        if not quotes:
            return refused
        written = writer.write(question, quotes, refused.language, lookup.limits.stopped)
        answer = _with_text(refused, written, quotes)
        if not answer.worded:
            text = refused.text if written.problem else say("nothing", refused.language)
            return replace(answer, outcome="not_understood" if written.problem else "not_found", text=text)
        moments = tuple(citation.source for citation in answer.citations)
        return replace(answer, outcome="answered", text=answer.worded, moments=moments)

    def _quotes_found(self, query: MomentQuery, lookup: IndexLookup) -> tuple[NumberedQuote, ...]:
        """Return what was said and shown in the windows that a search finds."""
        with self._index.errors_told(IndexReadError):
            windows = [window for moment in MomentSearch(self._index).find(query).moments for window in moment.windows]
            spans = [AskScope((window.stream,), window.start_ns, window.end_ns) for window in windows[:MAX_QUOTES]]
            said = [one for span in spans for one in lookup.cues(span)]
            seen = [one for span in spans for one in lookup.shown(span)]
        return numbered_quotes(said, seen)

    def _next_to(self, follow: FollowUp, lookup: IndexLookup, scope: AskScope, language: Language) -> Answer:
        """Answer what was said and shown next to the moment of the last answer: before or after it."""
        if follow.next_to == "after":
            found = [next_after(look, follow.end_ns, scope) for look in (lookup.cues, lookup.shown)]
        else:
            found = [next_before(look, follow.start_ns, scope) for look in (lookup.cues, lookup.shown)]
        cues, shown = found
        notes = _notes(lookup, language)
        if not cues and not shown:
            return Answer("not_found", say("nothing then", language), language, notes=notes)
        parts = [
            (ParsedQuestion(wanted, language), FoundAnswer(_names(part), tuple(part)))
            for wanted, part in ((Wanted.WHAT_SAID, cues), (Wanted.WHAT_SEEN, shown))
            if part
        ]
        text, brief = (
            " ".join(worded(asked, finding, in_short=in_short) for asked, finding in parts)
            for in_short in (False, True)
        )
        wanted = Wanted.WHAT_SAID if cues else Wanted.WHAT_SEEN
        answer = Answer(
            "answered", text, language, follow.next_to, wanted, _names(cues or shown), (*cues, *shown), notes
        )
        return replace(answer, brief=brief)


def _names(found: Sequence[Occurrence]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.text for one in found))


def _scope_of(asked: ParsedQuestion, scope: AskScope) -> AskScope:
    span = asked.span
    named = AskScope(asked.streams, None if span is None else span.start_ns, None if span is None else span.end_ns)
    return scope.narrowed(named)


def _answered(asked: ParsedQuestion, lookup: IndexLookup, scope: AskScope) -> Answer:
    odd = next((clause.term for clause in (asked.about, asked.other, asked.anchor) if clause and _is_odd(clause)), "")
    term = "" if asked.about is None else asked.about.term
    sense: Sense | Literal[""] = "" if asked.about is None or not term else asked.about.sense
    try:
        finding = answer_parsed(asked, lookup, scope)
        if finding.value is False and odd:
            return _not_understood(say("odd words", asked.language, term=odd), asked.language)
    except NothingFoundError as error:
        if odd:
            return _not_understood(say("odd words", asked.language, term=odd), asked.language)
        where = say("where", asked.language) if scope != _EVERYWHERE else ""
        text = say(error.reason, asked.language, term=error.term, where=where)
        found = Answer("not_found", text, asked.language, str(asked), asked.wanted.value, term=term, sense=sense)
        return replace(found, notes=_notes(lookup, asked.language))
    return Answer(
        "answered",
        worded(asked, finding),
        asked.language,
        str(asked),
        asked.wanted.value,
        finding.value,
        (*finding.moments, *finding.also),
        _notes(lookup, asked.language),
        term,
        sense,
        brief=worded(asked, finding, in_short=True),
    )


def _not_understood(part: str, language: Language) -> Answer:
    text = f"{say('not understood', language, part=part)} {say('can', language)}".strip()
    return Answer("not_understood", text, language)


def _is_odd(clause: Clause) -> bool:
    """Return whether a name has words that a question may have used otherwise.

    Where nothing is called so, it is better not to understand the question than to say that there is no such thing.
    """
    return not clause.is_quoted and _ODD.search(clause.term) is not None


def _notes(lookup: IndexLookup, language: Language) -> tuple[str, ...]:
    """Return what the user should know of a lookup, whether it found anything or not."""
    return (say("cut", language, most=MAX_WINDOWS),) if lookup.is_cut else ()


def _task(question: str, answer: Answer) -> str:
    """Return what the model has to answer: with what was counted, which no quote says."""
    value = answer.value
    if isinstance(value, bool) or value is None:
        return question
    if isinstance(value, int | float):
        return f"{question} Counted: {value:g}."
    numbers = [str(number) for number in value if isinstance(number, int)]
    return f"{question} Counted: {' and '.join(numbers)}." if numbers else question


def _said_and_seen(moments: Sequence[Occurrence]) -> tuple[list[Occurrence], list[Occurrence]]:
    """Return the cues among moments, and the others."""
    said = [one for one in moments if one.is_cue]
    return said, [one for one in moments if not one.is_cue]


def _with_text(answer: Answer, written: GroundedText, quotes: Sequence[NumberedQuote]) -> Answer:
    cited = {number for sentence in written.sentences for number in sentence.citations}
    citations = tuple(Citation(quote.number, quote.source) for quote in quotes if quote.number in cited)
    notes = list(answer.notes)
    if written.problem:
        notes.append(say("no model", answer.language, reason=written.problem))
    if written.dropped:
        number = len(written.dropped)
        notes.append(say("dropped one" if number == 1 else "dropped", answer.language, number=number))
    return replace(
        answer,
        worded=written.text,
        citations=citations,
        dropped=written.dropped,
        notes=tuple(notes),
        model_problem=written.problem,
    )
