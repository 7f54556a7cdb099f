"""Complete a question that names nothing but what it wants to know: `and when?`, `on which stream?`, `谁说的？`."""

# ruff: noqa: RUF002 - Chinese has punctuation of its own

from __future__ import annotations

import re
from typing import Final

from triptych.consumers.asking.parsing.question import Sense

_OF_ENGLISH: Final = re.compile(
    r"^(?:and |so |but )?(?:(?P<who>who(?: said (?:it|that|this))?)|(?P<many>how many)|"
    r"(?P<asked>when(?: exactly)?|how (?:often|long|many times)|"
    r"(?:on |in |at )?(?:which|what) (?:camera|stream|feed|channel)))"
    r"(?: (?:was|is|were) (?:it|that|this))?$"
)
_OF_CHINESE: Final = re.compile(
    r"^(?:那么?|又)?[是有]?在?(?:(?P<who>谁(?:说的)?)|(?P<many>多少个?|几个)|"
    r"(?P<asked>什么时候|何时|几次|多少次|多久|哪个(?:摄像头|摄像机|频道|视频流|流)))(?:上|里|中)?(?:呢|的)?$"
)
_VERBS: Final[dict[Sense, tuple[str, str]]] = {
    "said": ("mentioned", "提到了"),
    "seen": ("seen", "看到了"),
    "heard": ("heard", "听到了"),
}


def completed(text: str, term: str, sense: Sense) -> str:
    """Return a whole question about the term of the last answer; empty if the text is no such short question.

    Args:
        text: the question in small letters, without punctuation at its ends.
        term: what the last answer was about.
        sense: whether that was seen, heard or said.
    """
    if (found := _OF_ENGLISH.match(text)) is not None:
        verb = _VERBS[sense][0]
        if found["who"]:
            return f"who said {term}"
        return f"how many {term} were seen" if found["many"] else f"{found['asked']} was {term} {verb}"
    if (found := _OF_CHINESE.match(text)) is not None:
        verb = _VERBS[sense][1]
        if found["who"]:
            return f"谁说了{term}"
        return f"有多少{term}" if found["many"] else f"{found['asked']}{verb}{term}"
    return ""


def is_short(text: str) -> bool:
    """Return whether a question names nothing but what it wants to know."""
    return _OF_ENGLISH.match(text) is not None or _OF_CHINESE.match(text) is not None
