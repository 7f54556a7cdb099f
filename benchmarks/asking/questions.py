"""Questions with known answers: phrasings from the two files, with things, words and times of the feeds."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.asking.feeds import PLURALS, START_NS, THINGS, WINDOWS, WORDS, KnownFeeds
from benchmarks.asking.truth import KnownAnswers, Truth

_FOLDER: Final = Path(__file__).parent
FILES: Final = {"tuned": _FOLDER / "tuned.toml", "held out": _FOLDER / "held_out.toml"}
_UNANSWERABLE: Final = "unanswerable.any"
_ABSENT: Final = {"elephant": "大象", "giraffe": "长颈鹿", "submarine": "潜艇"}
_ABSENT_WORDS: Final = {"en": ("volcano", "pineapple"), "zh": ("火山", "菠萝")}
_TRIES: Final = 200


@dataclass(frozen=True, slots=True)
class KnownQuestion:
    """A question, and its right answer; None where none is: it has to be refused."""

    phrasings: str
    variant: str
    language: str
    text: str
    truth: Truth | None


def known_questions(feeds: KnownFeeds, seed: int, draws: int = 1, windows: int = WINDOWS) -> Iterator[KnownQuestion]:
    """Yield questions: each phrasing `draws` times. Equal seeds give equal questions."""
    rng, answers = random.Random(seed), KnownAnswers(feeds)  # noqa: S311 - draws examples
    for phrasings, file in FILES.items():
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        for kind, variants in document.items():
            for variant, texts in variants.items():
                for language in ("en", "zh"):
                    for text in texts[language]:
                        for _ in range(draws):
                            name = f"{kind}.{variant}"
                            yield _drawn(rng, answers, (phrasings, name, language, text), windows)


def _drawn(
    rng: random.Random, answers: KnownAnswers, phrasing: tuple[str, str, str, str], windows: int
) -> KnownQuestion:
    """Return a question whose answer the feeds have, or one that has none."""
    phrasings, variant, language, text = phrasing
    for _ in range(_TRIES):
        slots = _slots(rng, variant, language, windows)
        truth = None if variant == _UNANSWERABLE else answers.answer(variant, slots)
        if truth is not None or (variant == _UNANSWERABLE and answers.seen_moments(slots["thing"])):
            shown = {**slots, "thing": slots["thing_said"], "other": slots["other_said"]}
            return KnownQuestion(phrasings, variant, language, text.format(**shown), truth)
    raise ValueError(f"{variant}: the feeds have no answer")


def _slots(rng: random.Random, variant: str, language: str, windows: int) -> dict[str, str]:
    thing, other = rng.sample(sorted(THINGS), 2)
    word, other_word = rng.sample(WORDS[language], 2)
    chinese = dict(THINGS)
    if variant == "ever.seen" and rng.random() < 1 / 2:
        thing = rng.choice(sorted(_ABSENT))
        chinese |= _ABSENT
    if variant == "ever.said" and rng.random() < 1 / 2:
        word = rng.choice(_ABSENT_WORDS[language])
    number, second = rng.randrange(windows), rng.randrange(2 * windows)
    at_s = START_NS // 1_000_000_000 + (second if variant == "said.at" else 2 * number)
    is_chinese = language == "zh"
    return {
        "thing": thing,
        "thing_said": chinese[thing] if is_chinese else thing,
        "things": PLURALS.get(thing, thing),
        "other": other,
        "other_said": chinese[other] if is_chinese else other,
        "word": word,
        "other_word": other_word,
        "number": str(number),
        "second": str(second),
        "time": datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%S"),
    }
