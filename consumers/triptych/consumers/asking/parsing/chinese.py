"""The rules for questions in Chinese. Times and streams are taken out of the text before."""

from __future__ import annotations

import re
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
    "为什么|为何|怎么|怎样|如何|感觉|颜色|高兴|喜欢|有多(?!少|久|长时)|会.*(发生|怎)|哪里|在哪(?!个|路|台)|多少钱|"
    "除了|至少|至多|超过|不到|比.+少|(?:哪个|哪一个|谁)先|不是.+的|"
    r"(?:有|看到|看见|出现)了?[二两三四五六七八九十\d]+(?:个|只|辆|条|位|名)"
)
_PUNCTUATION: Final = re.compile(r"[\s，。？！、；：“”‘’\"',.?!;:]+")  # noqa: RUF001 - as people write
_POLITE: Final = re.compile("^(请问|请告诉我|告诉我)")
_SCREEN: Final = "(?:画面|屏幕|镜头|图像)(?:上|里|中|里面|上面)?"
_ALSO: Final = (
    (Wanted.WHAT_SEEN, re.compile(f"(?:同时|那时|当时)?{_SCREEN}(?:有|是|显示|出现)了?(?:些)?什么$")),
    (Wanted.WHO, re.compile("(?:是)?谁(?:说|提到)的$")),
)
_WHEN_WORDS: Final = "在?(?:什么时候|啥时候|何时|几点钟?|什么时间|哪些时候)"
_MEASURES: Final = "(?:个|只|辆|条|位|名|台|把|架|艘)"
_KINDS: Final = (
    (Wanted.FIRST, f"(?:是)?(?:第一次|最早|首次)(?=.*{_WHEN_WORDS})|(?<!.){_WHEN_WORDS}(?:第一次|最早|首次)"),
    (Wanted.LAST, f"(?:是)?(?:最后一次|最近一次|最后)(?=.*{_WHEN_WORDS})|(?<!.){_WHEN_WORDS}(?:最后一次|最近一次)"),
    (Wanted.HOW_OFTEN, "(?:一共|总共)?(?:有)?(?:多少次|几次|几回)"),
    (Wanted.HOW_LONG, "多久|多长时间"),
    (Wanted.HOW_MANY, f"(?:最多|一共|总共)?(?:同时)?(?:能)?(?:有|出现|看到|看见)?(?:了)?(?:多少|几){_MEASURES}?"),
    (Wanted.WHICH_STREAM, "在?哪(?:个|路|台|一路)(?:摄像头|频道|视频流|流|摄像机)?"),
    (Wanted.WHEN, f"(?:是)?{_WHEN_WORDS}"),
    (Wanted.MENTIONED, "^(?:有人)?(?:提|说|谈)到(?:了|过)?(?:谁|哪些人|什么人)$|^谁被(?:提|说|谈)到(?:了|过)?$"),
    (Wanted.WHO, "的?(?:是)?谁"),
)  # fmt: skip
_KIND_PATTERNS: Final = tuple((wanted, re.compile(pattern)) for wanted, pattern in _KINDS)
_WHEN: Final = re.compile(f"(?:是)?{_WHEN_WORDS}")
_WHAT_SAID: Final = re.compile(
    "(?:有人|大家|他们|人们)?(?:接着|在)?(?:说|讲|谈)(?:的|了|过|着)?(?:是)?(?:些)?什么(?:话|内容)?$"
)
_WHAT_HEARD: Final = re.compile("(?:能|可以)?(?:听到|听见)(?:了|过)?(?:些)?什么(?:声音)?$")
_WHAT_SEEN: Final = re.compile(
    f"(?:{_SCREEN})?(?:能|可以)?(?:有|是|显示|出现|看到|看见)(?:了|过)?(?:些)?什么(?:东西)?$"
)
_OPEN_PATTERNS: Final = (
    (Wanted.WHAT_SAID, _WHAT_SAID),
    (Wanted.WHAT_HEARD, _WHAT_HEARD),
    (Wanted.WHAT_SEEN, _WHAT_SEEN),
)
_YES_NO: Final = re.compile("吗$|有没有|是否|是不是|^从来没|^从未|^从没")
_NOT: Final = re.compile(
    "没有?人|从来没有?|从未|从没|没有|(?<![淹沉埋])没(?!收)|未曾|未(?!来)|不曾|不(?!锈钢|同|少|断|明)"
)
_OR_NOT: Final = re.compile("有没有|是不是")
"""These ask, and deny nothing."""
_OR: Final = re.compile("或者?|还是(?!不)")
_MORE_SENTENCES: Final = re.compile("[？！?!；;] *[^ ？！?!；;]+")  # noqa: RUF001 - as people write
_ANYBODY: Final = re.compile("(?:有没有|是否有|是不是有)(?:人|谁)(?!物)")
_IN_ORDER_ONLY: Final = re.compile("最先|最早|最后|第一个|头一个|首先")
_YES_NO_WORDS: Final = re.compile("吗$|有没有|是否|是不是|从来没有?|从未|从没|曾经")
_TOGETHER: Final = re.compile("一边(.+?)一边(.+)")
_SPLITS: Final[tuple[tuple[Relation, re.Pattern[str]], ...]] = (
    ("while", re.compile("^(.+?)(?:的时候|的同时|期间|时)(.*)$")),
    ("before", re.compile("^(.+?)(?:之前|以前|前)(.*)$")),
    ("after", re.compile("^(.+?)(?:之后|以后|后)(?:接着)?(.*)$")),
)
_COMPARE: Final = (
    re.compile("^(?P<about>.+?)和(?P<other>.+?)(?:哪个|哪一个|谁)(?P<verb>.+?)(?:的次数)?(?:得)?(?:更)?多$"),
    re.compile("^(?P<verb>提到|说到|谈到|提及|说起)(?P<about>.+?)(?:的次数)?比(?P<other>.+?)(?:更)?多吗?$"),
    re.compile("^(?P<about>.+?)(?P<verb>提到|说到|谈到|提及|说起|出现)的次数比(?P<other>.+?)(?:更)?多吗?$"),
    re.compile("^(?P<about>.+?)比(?P<other>.+?)(?P<verb>提到|提|说到|说|谈到|出现|讲到|讲)(?:得)?(?:更)?多吗?$"),
)
_FIRST_OF_TWO: Final = re.compile("^(.+?)比(.+?)(?:更)?(?:先|早)出现吗?$")
_IN_ORDER: Final = re.compile("^(.+?)在(.+?)(之前|以前|之后|以后)(.+)$")
_SAID: Final = re.compile("被?(?:提到|提及|说到|说起|谈到|谈起|讲到|讲起|提起|谈论|说过|提过|说|讲|谈|提)")
_HEARD: Final = re.compile("能?(?:听到|听见|响起|播放|放)")
_SEEN: Final = re.compile(f"(?:在)?{_SCREEN}|能?(?:出现|看到|看见|显示|露面)")
_SOUNDS: Final = {
    "音乐": "music",
    "说话声": "speech",
    "语音": "speech",
    "歌声": "singing",
    "唱歌": "singing",
    "安静": "silence",
}
_SOMEBODY: Final = re.compile("有人|某人|有谁")
_SPEAKERS: Final = re.compile("有人|人们|大家|他们|我们|某人|有谁")
_EDGES: Final = re.compile(
    "^(?:在|被|的|是|有|了|过|着|出现过?)+|(?:的|了|过|着|在|呢|吧|啊|呀|到|一共|是|得|有|多少|同时)+$"
)
_MEASURE: Final = re.compile("^(?:一|某|任何)?(?:只|辆|条|匹|位|把|台|架|名|艘|个)(?=.)")


def parse_chinese(text: str) -> ParsedQuestion:
    """Return what a question asks for.

    Args:
        text: the question, without its times and streams.

    Raises:
        NotUnderstoodError: no rule fits.
    """
    found = _MORE_SENTENCES.search(text)
    if found is not None and not any(also.search(_PUNCTUATION.sub("", found[0])) for _, also in _ALSO):
        raise NotUnderstoodError(f"“{found[0]}”：一次只能问一个问题")  # noqa: RUF001 - Chinese
    if (found := _OR.search(text)) is not None:
        raise NotUnderstoodError(f"“{found[0]}”：一次只能问一个问题")  # noqa: RUF001 - Chinese
    question = _ANYBODY.sub("是否有人", _POLITE.sub("", _PUNCTUATION.sub("", text)))
    if (found := _UNSUPPORTED.search(question)) is not None:
        raise NotUnderstoodError(f"“{found[0]}”")
    if _NOT.search(_OR_NOT.sub("", text)) is not None:
        return _denied(question)
    for parse in (_compare, _order):
        if (parsed := parse(question)) is not None:
            return parsed
    question, also = _without_also(question)
    main, relation, sub = _split(question)
    wanted, about = _main(main)
    anchor = None if sub is None else _clause(sub, inherited="seen")
    return ParsedQuestion(wanted, "zh", about, relation=relation, anchor=anchor, also=also)


def _denied(question: str) -> ParsedQuestion:
    """Return what a question asks for that has a 没 or 不: whether something was never so. Others are refused."""
    main, relation, sub = _split(question)
    denials = list(_NOT.finditer(_OR_NOT.sub(lambda found: "\0" * len(found[0]), main)))
    is_in_sub = sub is not None and _NOT.search(_OR_NOT.sub("", sub)) is not None
    if len(denials) == 1 and not is_in_sub:
        at, end = denials[0].span()
        said = _SAID.search(main)
        denied = denials[0][0].removeprefix("没")
        kept = "有" if denied == "有" and not _sense(main) else "人" if denied.endswith("人") and not said else ""
        is_kind = any(pattern.search(main) for _, pattern in (*_OPEN_PATTERNS, *_KIND_PATTERNS))
        if _SOMEBODY.search(main[:at]) is not None:
            raise NotUnderstoodError(f"“{main[:end]}”")  # somebody may not have done what others did
        if _YES_NO.search(main) is not None and not is_kind and (said is None or at < said.start()):
            about = _clause(_YES_NO_WORDS.sub("", main[:at] + kept + main[end:]), had="有没有" in main)
            anchor = None if sub is None else _clause(sub, inherited="seen")
            return ParsedQuestion(Wanted.EVER, "zh", about, relation=relation, anchor=anchor, negative=True)
    raise NotUnderstoodError(f"“{denials[0][0] if denials else question}”")


def _compare(question: str) -> ParsedQuestion | None:
    for pattern in _COMPARE:
        if (found := pattern.match(question)) is not None:
            sense = _sense(found["verb"])
            if sense is not None:
                return ParsedQuestion(
                    Wanted.COMPARE, "zh", Clause(sense, _term(found["about"])), Clause(sense, _term(found["other"]))
                )
    return None


def _order(question: str) -> ParsedQuestion | None:
    if (found := _FIRST_OF_TWO.match(question)) is not None:
        about, other = (Clause("seen", _term(found[number])) for number in (1, 2))
        return ParsedQuestion(Wanted.EVER, "zh", about, relation="before", anchor=other)
    if (found := _IN_ORDER.match(question)) is not None and _YES_NO.search(question) and not _sense(found[1]):
        about, anchor = _clause(found[1] + _YES_NO_WORDS.sub("", found[4])), _clause(found[2], inherited="seen")
        relation: Relation = "before" if "前" in found[3] else "after"
        return ParsedQuestion(Wanted.EVER, "zh", about, relation=relation, anchor=anchor)
    return None


def _without_also(question: str) -> tuple[str, Wanted | None]:
    for wanted, pattern in _ALSO:
        found = pattern.search(question)
        if found is not None and _WHEN.search(question[: found.start()]):
            return question[: found.start()], wanted
    return question, None


def _split(question: str) -> tuple[str, Relation | None, str | None]:
    """Return the main clause, and the other one with its relation."""
    masked = _WHEN.sub(lambda found: "\0" * len(found[0]), question).replace("同时出现", "\1\1\1\1")
    masked = masked.replace("最后", "\0\0").replace("同时", "\1\1") if "的同时" not in masked else masked
    if (found := _TOGETHER.search(question)) is not None:
        return question[: found.start()] + found[2], "while", found[1]
    for relation, pattern in _SPLITS:
        if (found := pattern.match(masked)) is not None:
            sub, main = question[: found.end(1)], question[found.start(2) :]
            if main and not _is_only_question(sub):
                return _moved(sub, main, relation)
    return question, None, None


def _moved(sub: str, main: str, relation: Relation) -> tuple[str, Relation, str]:
    """Move the question word of the first clause to the second one, where it belongs."""
    if (found := _WHEN.search(sub)) is not None and not _WHEN.search(main):
        return found[0] + main, relation, sub[: found.start()] + sub[found.end() :]
    yes_no = re.search("有没有|是否|是不是", sub)
    if yes_no is not None and not _YES_NO.search(main):
        return yes_no[0] + main, relation, sub[: yes_no.start()] + sub[yes_no.end() :]
    return main, relation, sub


def _is_only_question(text: str) -> bool:
    return not _EDGES.sub("", _WHEN.sub("", text))


def _main(text: str) -> tuple[Wanted, Clause | None]:
    for wanted, pattern in _OPEN_PATTERNS:
        if (found := pattern.search(text)) is not None:
            return wanted, _topic(wanted, text[: found.start()])
    for wanted, pattern in _KIND_PATTERNS:
        if (found := pattern.search(text)) is not None:
            return wanted, _asked_about(wanted, text, found)
    if _YES_NO.search(text):
        return Wanted.EVER, _clause(_YES_NO_WORDS.sub("", text), had="有没有" in text)
    raise NotUnderstoodError(f"“{text}”")


def _topic(wanted: Wanted, before: str) -> Clause | None:
    """Return what an open question is about: 关于银行说了什么 is about the bank."""
    rest = _term(_SPEAKERS.sub("", before))
    if rest and wanted is Wanted.WHAT_SAID and rest.startswith(("关于", "对")):
        return Clause("said", rest.removeprefix("关于").removeprefix("对"))
    if rest:
        raise NotUnderstoodError(f"“{rest}”")
    return None


def _asked_about(wanted: Wanted, text: str, found: re.Match[str]) -> Clause:
    """Return the clause of a question whose question word was found."""
    if wanted is Wanted.MENTIONED:
        return Clause("said", "")
    rest = text[: found.start()] + text[found.end() :]
    if wanted in {Wanted.FIRST, Wanted.LAST}:
        rest = _WHEN.sub("", rest)
    about = _clause(rest, inherited="seen" if wanted is Wanted.HOW_MANY else None)
    if wanted is Wanted.WHO and about.sense != "said":
        raise NotUnderstoodError("谁：人只能计数，不能辨认")  # noqa: RUF001 - Chinese
    if wanted is Wanted.HOW_MANY and about.sense == "said":
        raise NotUnderstoodError(f"“{text}”：请问是谁说的")  # noqa: RUF001 - Chinese
    return about


def _sense(text: str) -> Sense | None:
    if _SAID.search(text):
        return "said"
    if _HEARD.search(text):
        return "heard"
    return "seen" if _SEEN.search(text) else None


def _clause(text: str, *, inherited: Sense | None = None, had: bool = False) -> Clause:
    """Return what a clause says. `had` if its verb was taken away with the question: 有没有 is also 有."""
    sense = _sense(text)
    rest = text
    if sense == "said":
        rest = _SPEAKERS.sub("", rest)
    for pattern in (_SAID,) if sense == "said" else (_HEARD, _SEEN):
        rest = pattern.sub("", rest)
    if sense is None and (had or "有" in rest):
        sense = "seen"
        rest = rest.replace("有", "")
    term = _term(rest)
    if sense == "said" and (found := _SAID.search(without := _SPEAKERS.sub("", text))) is not None:
        # Who says it and what is said are words of the same cue: 安娜提到银行.
        speaker, said = (_term(_SAID.sub("", part)) for part in (without[: found.start()], without[found.end() :]))
        term = f"{speaker} {said}" if speaker and said else speaker or said
    if (found := _IN_ORDER_ONLY.search(term)) is not None and (term.startswith(found[0]) or term.endswith(found[0])):
        raise NotUnderstoodError(f"“{found[0]}”")
    if term in _SOUNDS and sense != "said":
        return Clause("heard", _SOUNDS[term])
    sense = sense or inherited
    if sense is None or not term:
        raise NotUnderstoodError(f"“{text}”")
    return Clause(sense, term)


def _term(text: str) -> str:
    """Return a noun without the particles and measure words around it."""
    before = ""
    while before != text:
        before, text = text, _MEASURE.sub("", _EDGES.sub("", text))
    return text
