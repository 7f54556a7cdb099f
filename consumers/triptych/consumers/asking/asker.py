"""Ask an index: parse the question, look its parts up, and answer with times and evidence.

asker = Asker.open("/var/lib/triptych/index")
answer = asker.ask("When did someone mention the bank, and what was on screen?")
print(answer.text, answer.results)
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from triptych.consumers.asking.answer import Answer
from triptych.consumers.asking.answering import (
    FoundAnswer,
    NothingFoundError,
    answer_parsed,
    next_after,
    next_before,
)
from triptych.consumers.asking.lookup import MAX_WINDOWS, AskScope, IndexLookup
from triptych.consumers.asking.parsing.parse import UnknownStreamError, language_of, parse_question
from triptych.consumers.asking.parsing.question import Language, NotUnderstoodError, ParsedQuestion, Wanted
from triptych.consumers.asking.parsing.thing_names import ALIAS_FILE, ThingNames
from triptych.consumers.asking.session import FollowUp, LastAnswer, follow_up
from triptych.consumers.asking.wording import say, shown_time, worded
from triptych.consumers.searching.window_index import WindowIndex

_EVERYWHERE: Final = AskScope()


class Asker:
    """Answers questions about one index. Not thread-safe; each question blocks while the index works."""

    def __init__(self, index: WindowIndex, names: ThingNames) -> None:
        """Ask an index that has a graph.

        Raises:
            WindowGraphError: it has none.
        """
        self._index = index
        self._names = names
        self._lookup = IndexLookup(index, names)

    @classmethod
    def open(cls, folder: Path | str, alias_file: Path | None = None) -> Self:
        """Open the index in a folder.

        Args:
            folder: the folder of the index.
            alias_file: TOML with other names; `aliases.toml` in the folder by default.

        Raises:
            IndexFolderError: the folder holds no index.
            WindowGraphError: the index has no graph.
            UsageError: the alias file is invalid.
        """
        names = ThingNames.load(alias_file or Path(folder) / ALIAS_FILE)
        return cls(WindowIndex.open(Path(folder)), names)

    @property
    def lookup(self) -> IndexLookup:
        """Look up what the newest version of the index holds."""
        before = self._index.meta
        self._index.refresh()
        if self._index.meta != before:
            self._lookup = IndexLookup(self._index, self._names)
        self._lookup.is_cut = False
        return self._lookup

    async def ask_async(self, question: str, scope: AskScope = _EVERYWHERE, last: LastAnswer | None = None) -> Answer:
        """Answer without blocking the event loop. One question at a time."""
        return await asyncio.to_thread(self.ask, question, scope, last)

    def ask(self, question: str, scope: AskScope = _EVERYWHERE, last: LastAnswer | None = None) -> Answer:
        """Answer a question in English or Chinese.

        Args:
            question: the question.
            scope: the streams and times to look at; the question may name narrower ones.
            last: the answer before, which this question may refer to.

        Raises:
            IndexFolderError: the index was deleted meanwhile.
        """
        lookup, language = self.lookup, language_of(question)
        bounds = lookup.bounds
        if bounds is None:
            return Answer("not_found", say("empty", language), language)
        follow = FollowUp(question) if last is None else follow_up(question, last)
        if follow.stream:
            scope = scope.narrowed(AskScope((follow.stream,)))
        if follow.next_to:
            return self._next_to(follow, lookup, scope, language)
        if follow.end_ns:
            scope = scope.narrowed(AskScope((), follow.start_ns, follow.end_ns))
        try:
            understood = parse_question(follow.text, bounds.streams, bounds.end_ns)
        except NotUnderstoodError as error:
            text = f"{say('not understood', language, part=error)} {say('can', language)}".strip()
            return Answer("not_understood", text, language)
        except UnknownStreamError as error:
            streams = ", ".join(bounds.streams)
            return Answer("not_found", say("no stream", language, term=error, streams=streams), language)
        answer = _answered(understood.asked, lookup, _scope_of(understood.asked, scope))
        notes = (say("clock", language, time=shown_time(bounds.end_ns)),) if understood.is_relative else ()
        return replace(answer, notes=(*answer.notes, *notes))

    def _next_to(self, follow: FollowUp, lookup: IndexLookup, scope: AskScope, language: Language) -> Answer:
        """Answer what was said and shown next to the moment of the last answer: before or after it."""
        if follow.next_to == "after":
            found = [next_after(look, follow.end_ns, scope) for look in (lookup.cues, lookup.shown)]
        else:
            found = [next_before(look, follow.start_ns, scope) for look in (lookup.cues, lookup.shown)]
        cues, shown = found
        if not cues and not shown:
            return Answer("not_found", say("nothing then", language), language)
        texts = [
            worded(
                ParsedQuestion(wanted, language),
                FoundAnswer(tuple(dict.fromkeys(one.text for one in part)), tuple(part)),
            )
            for wanted, part in ((Wanted.WHAT_SAID, cues), (Wanted.WHAT_SEEN, shown))
            if part
        ]
        wanted = Wanted.WHAT_SAID if cues else Wanted.WHAT_SEEN
        value = tuple(dict.fromkeys(one.text for one in cues or shown))
        return Answer("answered", " ".join(texts), language, follow.next_to, wanted, value, (*cues, *shown))


def _scope_of(asked: ParsedQuestion, scope: AskScope) -> AskScope:
    span = asked.span
    named = AskScope(asked.streams, None if span is None else span.start_ns, None if span is None else span.end_ns)
    return scope.narrowed(named)


def _answered(asked: ParsedQuestion, lookup: IndexLookup, scope: AskScope) -> Answer:
    term = "" if asked.about is None else asked.about.term
    try:
        finding = answer_parsed(asked, lookup, scope)
    except NothingFoundError as error:
        where = say("where", asked.language) if scope != _EVERYWHERE else ""
        text = say(error.reason, asked.language, term=error.term, where=where)
        return Answer("not_found", text, asked.language, str(asked), asked.wanted.value, term=term)
    notes = (say("cut", asked.language, most=MAX_WINDOWS),) if lookup.is_cut else ()
    return Answer(
        "answered",
        worded(asked, finding),
        asked.language,
        str(asked),
        asked.wanted.value,
        finding.value,
        (*finding.moments, *finding.also),
        notes,
        term,
    )
