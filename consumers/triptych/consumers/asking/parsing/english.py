"""The rules for questions in English. Times and streams are taken out of the text before."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from triptych.consumers.asking.parsing.question import (
    Clause,
    NotUnderstoodError,
    ParsedQuestion,
    Relation,
    Sense,
    Wanted,
)

_UNSUPPORTED: Final = re.compile(
    r"\b(why|will|would|should|colou?r|feel|feels|felt|opinion|think|how (?!many|often|long|frequently)\w+|"
    r"what (kind|sort|type)|where|except|other than|apart from|less (often|frequently)|fewer times)\b"
)
_ALSO: Final = (
    (Wanted.WHO, re.compile(r",? and who (said|mentioned) (it|that|so)$")),
    (Wanted.WHAT_SEEN, re.compile(r",? and what (else )?(was|were|could be|is) (there |also )?"
                                  r"(on (the )?screen|shown|visible|seen|in the picture)( then)?$")),
    (Wanted.WHAT_SAID, re.compile(r",? and what (else )?(was|were) (also )?(being )?(said|spoken)( then)?$")),
)  # fmt: skip
_POLITE: Final = re.compile(
    r"^(?:please,? )?(?:(?:can|could|would|will) you (?:please )?(?:tell|show) me|"
    r"i (?:want|would like|'d like) to know|do you know|tell me),? (?=when|who|how|what|which|on|whether)"
)
_ALSO_AFTER: Final = re.compile(r"\? ?(?=and (?:what|who)\b)")
_SAY: Final = (
    "(?:mention(?:s|ed|ing)?|sa(?:id|ys?|ying)|talk(?:s|ed|ing)?|sp(?:oke|oken|eaks?|eaking)|discuss(?:ed|ing)?)"
)
_SAID: Final = re.compile(
    rf"\b{_SAY}(?: something)?(?: about| of)?\b|\bask(?:s|ed|ing)? (?:about|for)\b|"
    r"\b(?:brought|brings?|bringing) up\b|\b(?:referred|refers?) to\b"
)
_HEARD: Final = re.compile(r"\b(?:hear[ds]?|heard|play(?:s|ed|ing)?|audible|sound(?:s|ed)?)\b")
_SEEN: Final = re.compile(
    r"\b(?:seen|saw|sees?|visible|appear(?:s|ed|ing)?|sho(?:w|wn|wed|ws|wing)(?: up)?|displayed|present|"
    r"on (?:the )?screen|in (?:the )?(?:picture|view|pictures)|there (?:was|were|is|are|be)|"
    r"(?:was|were|is|are) there)\b"
)
_SOUNDS: Final = frozenset({"music", "speech", "singing", "silence"})
_FILLERS: Final = re.compile(
    r"\b(?:did|do|does|was|were|is|are|am|be|been|being|has|have|had|could|can|a|an|the|any|some|ever|at all|"
    r"something|anything|of|that|to|also|right|just|then|it|true|please|tell me|together|at once|at the same time|"
    r"at most|at least|on the|for|someone|somebody|anyone|anybody|they|we|you|i|he|she|one|so|about|time|times|"
    r"simultaneously|in total|altogether)\b"
)
_NOT: Final = re.compile(
    r"\b(?:not|cannot|never|without|no|nobody|no one|nothing|none|neither|nor)\b|n['’]t\b"  # noqa: RUF001 - as people write
)
_ANYBODY: Final = re.compile(r"\b(?:(?:any|some|every)(?:one|body)|(?:any|some|all) (?:person|people)|all)\b")
_OR: Final = re.compile(r"\bor\b")
_AND_VERB: Final = re.compile(
    r"\band\b.*\b(?:seen|saw|heard|mentioned|shown|visible|appear(?:s|ed)?|said|spoken|there|what|when|who|how|which)\b"
)
_FIRST_OR_LAST: Final = re.compile(r"\b(?:first|last)\b")
_THING_IN_ORDER: Final = re.compile(r"\b(?:next|first|last) thing\b")
_COUNTED: Final = re.compile(
    r"^(?:(?:more|fewer|less) than |exactly |at (?:least|most) )?(?:\d+|two|three|four|five|ten) "
)
_MORE_SENTENCES: Final = re.compile(r"[?!;] *\w|(?<!\bmr)(?<!\bmrs)(?<!\bms)(?<!\bdr)(?<!\bst)\. +\w")
_SPEAKERS: Final = re.compile(r"\b(?:people|persons?|everyone|everybody|speakers?|by(?= \w))\b")
"""Who says something, in general; and `by ANNA`, whose name is a word of the cue."""
_RELATIONS: Final[dict[str, Relation]] = {
    "while": "while", "when": "while", "during": "while", "as": "while", "before": "before", "after": "after",
}  # fmt: skip
_SUBORDINATE_FIRST: Final = re.compile(r"^(while|when|as|during|before|after) (.+?), ?(.+)$")
_QUESTION_BEGINS: Final = re.compile(
    r"(?:at (?:what|which)|on (?:what|which|how)|how|what|when|who|which|"
    r"did|was|were|is|are|has|have|had|could|can|do|does)\b"
)
_SUBORDINATE: Final = re.compile(
    r"^(.+?)\b(?:right |just |shortly )?(while|when|during|before|after|as(?= an? | the ))\b(.+)$"
)

_MOST: Final = "(?:largest|highest|greatest|maximum|biggest|most) number of"
_KINDS: Final = {
    Wanted.HOW_OFTEN: r"\bcount how often\b|\bhow (?:many times|often|frequently)\b|\bon how many occasions\b|"
    r"\bwhat (?:is|was) the number of times\b",
    Wanted.HOW_LONG: r"\b(?:for )?how long\b",
    Wanted.HOW_MANY: rf"\bhow many\b|\bwhat (?:is|was) the (?:{_MOST}|most)\b",
    Wanted.FIRST: r"\bwhat (?:is|was) the (?:earliest|first) time\b|\bwhen (?:is|was) the first time\b|"
    r"\bwhen\b(?=.*\b(?:first|for the first time)\b)",
    Wanted.LAST: r"\bwhat (?:is|was) the (?:latest|last) time\b|\bwhen (?:is|was) the last time\b|"
    r"\bwhen\b(?=.*\b(?:last|for the last time)\b)",
    Wanted.WHICH_STREAM: r"\b(?:on |in |from )?(?:which|what) (?:streams?|cameras?|feeds?|channels?)\b",
    Wanted.MENTIONED: r"^who (?:was|were|is) (?:being )?(?:mentioned|named|talked about|spoken (?:of|about))\b",
    Wanted.WHO: r"\bwho\b|\bwhich (?:person|people|speaker)\b",
    Wanted.WHEN: r"^(?:tell me )?when\b|\b(?:at )?(?:what|which) times?\b",
}
_KIND_PATTERNS: Final = tuple((wanted, re.compile(pattern)) for wanted, pattern in _KINDS.items())
_ORDINALS: Final = re.compile(r"\b(?:for the )?(?:first|last)(?: time)?\b")
_WHAT_SAID: Final = re.compile(
    r"\bwhat(?: (?:is|was) the (?:next|first|last) thing)?(?: words)?\b(?=.*?\b(?:say|said|saying|spoken|talk\w*)\b)"
)
_WHAT_SEEN: Final = re.compile(
    r"\bwhat\b(?=.*?(?:\bseen?\b|\bsaw\b|visible|\bshow|\bappear|screen|\bin (?:the )?picture))"
)
_WHAT_HEARD: Final = re.compile(r"\bwhat\b(?=.*?(?:\bhear|\bheard|\bsound))")
_PICTURE_SHOWS: Final = re.compile(
    r"(?<!on )(?<!on the )(?<!in the )(?<!in )\b(?:the )?(?:picture|screen|camera|video)s?\b"
)
_COMPARE: Final = (
    re.compile(r"^(?:was|were|is|are|did) (?P<about>.+?) more(?: often| frequently| times)? than (?P<other>.+)$"),
    re.compile(
        r"^which (?:was|were|is) (?P<verb>.+?) more(?: often| frequently| times)?,? (?P<about>.+?) or (?P<other>.+)$"
    ),
)
_YES_NO: Final = re.compile(
    r"^(?:is it true that )?(?:did|was|were|has|have|had|is|are|could|can|do|does)\b|^is it true that\b"
)


def parse_english(text: str) -> ParsedQuestion:
    """Return what a question asks for.

    Args:
        text: the question in lower case, without its times and streams.

    Raises:
        NotUnderstoodError: no rule fits.
    """
    text = _POLITE.sub("", text.strip(), count=1)
    question = _ALSO_AFTER.sub(", ", " ".join(text.strip(" ,.?!;").split()))
    if not question:
        raise NotUnderstoodError("the question has no words")
    if (found := _MORE_SENTENCES.search(question)) is not None:
        raise NotUnderstoodError(f"“{question[found.end() - 1 :]}”: one question at a time")
    if (found := _UNSUPPORTED.search(question)) is not None:
        raise NotUnderstoodError(f"“{found[0]}”")
    question, also = _without_also(question)
    if (found := _OR.search(question)) is not None and not any(pattern.match(question) for pattern in _COMPARE):
        raise NotUnderstoodError(f"“{question[found.start() :]}”: one question at a time")
    if (found := _AND_VERB.search(question)) is not None:
        raise NotUnderstoodError(f"“{question[found.start() :]}”: one question at a time")
    if _NOT.search(question) is not None:
        return replace(_denied(question), also=also)
    compared = _compare(question)
    if compared is not None:
        return compared
    main, relation, sub = _split(question)
    if relation not in {"before", "after"} and (found := _THING_IN_ORDER.search(main)) is not None:
        raise NotUnderstoodError(f"“{found[0]}”")
    asked = _main(main)
    about = asked.about
    if relation is None or sub is None:
        return ParsedQuestion(asked.wanted, "en", about, also=also)
    anchor = _clause(sub, inherited=None if about is None else about.sense)
    return ParsedQuestion(asked.wanted, "en", about, relation=relation, anchor=anchor, also=also)


def _denied(question: str) -> ParsedQuestion:
    """Return what a question asks for that has a `not`: whether something was never so. Others are refused.

    The index does not say when something was not so, and what was not the case may also be a part of what was said.
    """
    denials = list(_NOT.finditer(question))
    at, end = denials[0].span()
    positive = " ".join(f"{question[:at]} {question[end:]}".split())
    said = _SAID.search(question)
    if len(denials) == 1 and denials[0][0] in {"not", "never", "n't", "n’t"}:  # noqa: RUF001 - as above
        asked = parse_english(positive)
        is_in_main = _NOT.search(_split(question)[0]) is not None
        if _ANYBODY.search(question[:at]) is not None:
            raise NotUnderstoodError(f"“{question[:end]}”")  # somebody may not have done what others did
        if asked.wanted is Wanted.EVER and is_in_main and (said is None or at < said.start()):
            return replace(asked, negative=True)
    raise NotUnderstoodError(f"“{denials[0][0]}”")


def _without_also(question: str) -> tuple[str, Wanted | None]:
    for wanted, pattern in _ALSO:
        if (found := pattern.search(question)) is not None and found.start():
            return question[: found.start()], wanted
    return question, None


def _compare(question: str) -> ParsedQuestion | None:
    for pattern in _COMPARE:
        if (found := pattern.match(question)) is None:
            continue
        parts = found.groupdict()
        about = _clause(f"{parts.get('verb', '')} {parts['about']}", inherited="seen" if "verb" not in parts else None)
        is_number = about.term in {"", "there"} or _COUNTED.match(f"{parts['other']} ") is not None
        if is_number or (about.sense == "seen" and "verb" not in parts and not _SEEN.search(question)):
            raise NotUnderstoodError(f"“{question}”")
        return ParsedQuestion(Wanted.COMPARE, "en", about, other=_clause(parts["other"], inherited=about.sense))
    return None


def _split(question: str) -> tuple[str, Relation | None, str | None]:
    """Return the main clause, and the other one with its relation."""
    if (found := _SUBORDINATE_FIRST.match(question)) is not None and _QUESTION_BEGINS.match(found[3]):
        return found[3], _RELATIONS[found[1]], found[2]
    if (found := _SUBORDINATE.match(question)) is not None and not re.fullmatch(r"(?:tell me|say) ?", found[1]):
        return found[1].strip(" ,"), _RELATIONS[found[2]], found[3].strip(" ,")
    return question, None, None


def _main(text: str) -> ParsedQuestion:
    for wanted, pattern in _KIND_PATTERNS:
        if (found := pattern.search(text)) is None:
            continue
        rest = text[: found.start()] + " " + text[found.end() :]
        if wanted in {Wanted.FIRST, Wanted.LAST}:
            rest = _ORDINALS.sub(" ", rest)
        if wanted is Wanted.MENTIONED:
            return _mentioned(rest)
        about = _clause(rest, inherited="seen" if wanted is Wanted.HOW_MANY else None, may_be_any=wanted is Wanted.WHO)
        if wanted is Wanted.WHO and about.sense != "said":
            raise NotUnderstoodError("who was seen: people are counted, not recognised")
        if wanted is Wanted.HOW_MANY and about.sense == "said":
            raise NotUnderstoodError(f"“{text}”: who said something is known by name; ask who")
        return ParsedQuestion(wanted, "en", about)
    for wanted, pattern, sense in (
        (Wanted.WHAT_SAID, _WHAT_SAID, "said"), (Wanted.WHAT_HEARD, _WHAT_HEARD, "heard"),
        (Wanted.WHAT_SEEN, _WHAT_SEEN, "seen"),
    ):  # fmt: skip
        if (found := pattern.search(text)) is not None:
            return _what(wanted, text[: found.start()] + " " + text[found.end() :], sense)
    if _YES_NO.search(text):
        return ParsedQuestion(Wanted.EVER, "en", _clause(text))
    raise NotUnderstoodError(f"“{text}”")


def _mentioned(rest: str) -> ParsedQuestion:
    if " ".join(_FILLERS.sub(" ", rest).split()):
        raise NotUnderstoodError(f"“{rest.strip()}”")
    return ParsedQuestion(Wanted.MENTIONED, "en", Clause("said", ""))


def _what(wanted: Wanted, rest: str, sense: str) -> ParsedQuestion:
    clause = _clause(_PICTURE_SHOWS.sub(" ", rest), inherited="seen" if sense == "seen" else None, may_be_any=True)
    if wanted is Wanted.WHAT_SAID and clause.term:
        return ParsedQuestion(wanted, "en", clause)  # what was said about the bank
    if clause.term:
        raise NotUnderstoodError(f"“{clause.term}”")
    return ParsedQuestion(wanted, "en")


def _clause(text: str, *, inherited: Sense | None = None, may_be_any: bool = False) -> Clause:
    """Return what a clause says. Without a verb of its own it has the sense of the other clause, or that of a sound."""
    sense: Sense | None = None
    rest = text
    for found, pattern in (("said", _SAID), ("heard", _HEARD), ("seen", _SEEN)):
        if pattern.search(rest):
            sense = sense or found  # type: ignore[assignment]
            rest = pattern.sub(" ", rest)
            if found == "said":
                break
    rest = " ".join(_FILLERS.sub(" ", re.sub(r'[,.?!;"]', " ", rest)).split())
    if sense == "said":
        rest = " ".join(_SPEAKERS.sub(" ", rest).split())
    elif _COUNTED.match(f"{rest} ") is not None:
        raise NotUnderstoodError(f"“{rest}”: ask how many")
    words = rest.split()
    if words and (_FIRST_OR_LAST.match(words[0]) or _FIRST_OR_LAST.match(words[-1])):
        raise NotUnderstoodError(f"“{text.strip()}”: first and last are known of when something was")
    if rest in _SOUNDS and sense != "said":
        return Clause("heard", rest)
    if sense is None:
        sense = inherited
    if sense is None or (not rest and not may_be_any):
        raise NotUnderstoodError(f"“{text.strip()}”")
    return Clause(sense, rest)
