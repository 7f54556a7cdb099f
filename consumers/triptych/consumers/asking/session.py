"""What a question may leave out because the one before said it: `and after that?`, `who said it?`, `那之后呢`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal

from triptych.consumers.asking.answer import Answer
from triptych.consumers.asking.parsing.parse import language_of
from triptych.consumers.asking.parsing.question import NotUnderstoodError, ParsedQuestion, Sense, Wanted
from triptych.consumers.asking.short_questions import completed, is_short
from triptych.consumers.asking.wording import say
from triptych.files import replacing_file
from triptych.schemas.errors import UsageError

Parse = Callable[[str], ParsedQuestion]

_AFTER: Final = re.compile(
    r"^(?:and |so )?(?:what (?:happened|came|was) )?(?:right )?(?:after (?:that|this|it)|next|afterwards)$"
)
_BEFORE: Final = re.compile(r"^(?:and |so )?(?:what (?:happened|came|was) )?(?:right |just )?before (?:that|this|it)$")
_AFTER_ZH: Final = re.compile("^(?:那|那么|在那|这|这个)?(?:之后|以后|后来|然后)(?:呢|发生了什么)?$")
_BEFORE_ZH: Final = re.compile("^(?:那|那么|在那|这|这个)?(?:之前|以前)(?:呢|发生了什么)?$")
_THEN_WORDS: Final = r"(?:\b(?:then|at that (?:time|moment)|at the time)\b|那个时候|那时候?|当时)"
_THEN: Final = re.compile(_THEN_WORDS)
_THEN_AT_EDGE: Final = re.compile(
    rf"^and then\b,?|^(?:and )?at that (?:time|moment)\b,?|^(?:那个时候|那时候?|当时)|{_THEN_WORDS}$"
)
_IT: Final = re.compile(r"\b(?:it|that|this|them|one)\b|它们?|这个|那个")
_PRONOUNS: Final = frozenset({"it", "that", "this", "them", "one", "它", "它们", "这个", "那个"})
_ENDS_WITH_IT: Final = re.compile(
    r"\b(?:said|says?|saying|mentioned|mentions?|mention|about|of) (?:it|that|this|them)$"
)
_THEN_ZH: Final = ("那个时候", "那时", "当时")
_OPEN: Final = frozenset({Wanted.WHO, Wanted.WHAT_SAID})
_NAME: Final = re.compile(r"[\w.-]{1,64}")


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """What a session remembers of the last answer.

    Attributes:
        term: what it was about.
        sense: whether that was to be seen, heard or said; empty without a term.
        stream: the stream of its first moment; empty if it had none.
        start_ns: start of that moment in event time.
        end_ns: its end.
    """

    term: str = ""
    stream: str = ""
    start_ns: int = 0
    end_ns: int = 0
    sense: Sense | Literal[""] = ""

    @staticmethod
    def of(answer: Answer, before: LastAnswer) -> LastAnswer:
        """Return what to remember after an answer. One without an answer changes nothing."""
        kept = replace(before, term=answer.term, sense=answer.sense) if answer.term else replace(before)
        if answer.outcome != "answered" or not answer.moments:
            return kept if answer.outcome == "answered" else before
        first = answer.moments[0]
        return replace(kept, stream=first.stream, start_ns=first.start_ns, end_ns=first.end_ns)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A question after what the last answer adds: the whole text, and where it looks.

    Attributes:
        text: the question, with the term in place of `it`.
        stream: the only stream to look at; empty for those of the question.
        start_ns, end_ns: the moment of the last answer, if the question is about that; else 0.
        next_to: `after` or `before` if it asks what came next to that moment.
    """

    text: str
    stream: str = ""
    start_ns: int = 0
    end_ns: int = 0
    next_to: str = ""


def follow_up(question: str, last: LastAnswer, parse: Parse) -> FollowUp:
    """Return a question with what the last answer adds. One that is complete is returned as it is.

    Args:
        question: the question.
        last: the answer before.
        parse: parses a whole question, or raises `NotUnderstoodError`.

    Raises:
        NotUnderstoodError: it refers to an earlier answer, and there is none.
    """
    text = question.casefold().strip(" ?？.!。")  # noqa: RUF001 - Chinese
    language = language_of(question)
    if not (last.term and last.sense) and is_short(text):
        raise NotUnderstoodError(say("about nothing", language, question=question.strip()))
    if last.sense and (whole := completed(text, last.term, last.sense)):
        return FollowUp(whole)
    if not last.stream and _without_then(text, parse):
        raise NotUnderstoodError(say("then nothing", language, question=question.strip()))
    if not last.stream and any(pattern.match(text) for pattern in (_AFTER, _AFTER_ZH, _BEFORE, _BEFORE_ZH)):
        raise NotUnderstoodError(say("after nothing", language, question=question.strip()))
    if last.stream:
        moment = FollowUp(question, last.stream, last.start_ns, last.end_ns)
        for next_to, patterns in (("after", (_AFTER, _AFTER_ZH)), ("before", (_BEFORE, _BEFORE_ZH))):
            if any(pattern.match(text) for pattern in patterns):
                return replace(moment, next_to=next_to)
        without = _without_then(text, parse)
        if without:
            return replace(moment, text=_with_term(without, last.term, parse) or without)
    return FollowUp(_with_term(text, last.term, parse) or question)


def _understood(text: str, parse: Parse) -> ParsedQuestion | None:
    try:
        return parse(text)
    except NotUnderstoodError:
        return None


def _without_then(text: str, parse: Parse) -> str:
    """Return a question without its `then`, if that means the moment of the last answer; else nothing.

    It does not if the question names another time or event, or if the word is a part of what was said.
    """
    asked = _understood(text, parse)
    names_no_time = asked is not None and asked.also is None and asked.anchor is None and asked.span is None
    if asked is None or (asked.about is None and names_no_time):
        found = _THEN.search(text)
    elif text.startswith(_THEN_ZH) or names_no_time:
        found = _THEN_AT_EDGE.search(text)
    else:
        found = None
    if found is None:
        return ""
    before = text[: found.start()].strip(" ,")
    about = None if asked is None or asked.wanted is Wanted.WHAT_SAID else asked.about
    if before and about is not None and about.sense == "said" and before.endswith(tuple(about.term.split()[-1:])):
        return ""
    return f"{before} {text[found.end() :]}".strip(" ,，")  # noqa: RUF001 - Chinese


def _with_term(text: str, term: str, parse: Parse) -> str:
    """Return a question with the term of the last answer in place of a pronoun, if it needs that; else nothing."""
    if not term:
        return ""
    asked = _understood(text, parse)
    if asked is not None and not _is_about_a_pronoun(text, asked):
        return ""
    written = [f"{text[: found.start()]}{term}{text[found.end() :]}" for found in _IT.finditer(text)]
    return next((one for one in written if _understood(one, parse) is not None), written[0] if written else "")


def _is_about_a_pronoun(text: str, asked: ParsedQuestion) -> bool:
    """Return whether a whole clause is a pronoun. The rules leave it out in `who said it`, `what was said about it`."""
    clauses = (asked.about, asked.other, asked.anchor)
    if any(clause is not None and clause.term in _PRONOUNS for clause in clauses):
        return True
    is_open = asked.wanted in _OPEN and (asked.about is None or not asked.about.term)
    return is_open and asked.also is None and _ENDS_WITH_IT.search(text) is not None


def load_session(folder: Path, name: str) -> LastAnswer:
    """Return what a session remembers; nothing if it is new.

    Raises:
        UsageError: the name is invalid, or the file is not that of a session.
    """
    path = session_file(folder, name)
    if not path.is_file():
        return LastAnswer()
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return LastAnswer(**document)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path}: expected a session of `triptych ask`, got something else; delete it") from error


def save_session(folder: Path, name: str, last: LastAnswer) -> None:
    """Store what a session remembers. Raises `UsageError` if the name is invalid, or the file cannot be written."""
    path = session_file(folder, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing_file(path) as unfinished:
            unfinished.write_text(json.dumps(asdict(last)), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"--session: {path} cannot be written, so it ends with this answer: {error.strerror}"
        ) from error


def session_file(folder: Path, name: str) -> Path:
    """Return the file of a session beside an index. Raises `UsageError` if the name is invalid."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"session: expected up to 64 letters, digits, '.', '_' or '-', got {name!r}")
    return folder / "sessions" / f"{name}.json"
