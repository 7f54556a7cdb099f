"""Ask generated feeds with known content: `python -m benchmarks.asking [--draws N] [--speech MODEL] [--failures]`.

Three feeds of twenty minutes are indexed by the program's own code. Each phrasing of the two files is asked, in English
and Chinese, about things, words and times that are drawn. An answer is exact if its value and its times are those of
the feeds, and a citation is right if its result shows or says what the answer says. Questions without an answer have to
be refused. No language model takes part. With `--speech`, voices ask the English ones, and a recogniser hears them.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.asking.feeds import known_feeds, write_index
from benchmarks.asking.questions import KnownQuestion, known_questions
from benchmarks.asking.spoken import as_heard
from triptych.consumers.asking.answer import Answer
from triptych.consumers.asking.asker import Asker

SEED: Final = 20_261_130
EXACT_GOAL: Final = 0.90
REFUSED_GOAL: Final = 0.95
_Z: Final = 1.96
_UNORDERED: Final = frozenset(
    {"who.said", "on_screen.at", "on_screen.said", "said.at", "said.while", "before_after.said_after"}
)


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer and whether it is right."""

    question: KnownQuestion
    answer: Answer
    is_right: bool
    wrong_citations: int
    took_s: float


def ask_all(asker: Asker, questions: Iterable[KnownQuestion]) -> list[Judged]:
    """Ask the questions and judge the answers."""
    judged = []
    for question in questions:
        began_s = time.perf_counter()
        answer = asker.ask(question.text)
        took_s = time.perf_counter() - began_s
        judged.append(Judged(question, answer, _is_right(question, answer), _wrong_citations(question, answer), took_s))
    return judged


def _is_right(question: KnownQuestion, answer: Answer) -> bool:
    truth = question.truth
    if truth is None:
        return answer.outcome != "answered"
    if answer.outcome != "answered":
        return False
    value = (
        frozenset(answer.value) if question.variant in _UNORDERED and isinstance(answer.value, tuple) else answer.value
    )
    places = frozenset((one.stream, one.start_ns, one.end_ns) for one in answer.moments)
    return value == truth.value and (truth.places is None or places == truth.places)


def _wrong_citations(question: KnownQuestion, answer: Answer) -> int:
    """Return how many results are cited that do not support the answer, and how many moments cite none."""
    if question.truth is None:
        return len(answer.results) if answer.outcome == "answered" else 0
    wrong = len(set(answer.results) - question.truth.supporting)
    return wrong + sum(not moment.results for moment in answer.moments)


def wilson(right: int, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927, "Probable inference, the law of succession")."""
    if not number:
        return 0.0, 1.0
    share, square = right / number, _Z * _Z
    middle = (share + square / (2 * number)) / (1 + square / number)
    half = _Z / (1 + square / number) * math.sqrt(share * (1 - share) / number + square / (4 * number * number))
    return max(0.0, middle - half), min(1.0, middle + half)


def table(judged: Sequence[Judged]) -> str:
    """Return the shares of right answers as a table in Markdown."""
    groups: defaultdict[str, dict[str, list[Judged]]] = defaultdict(lambda: defaultdict(list))
    for one in judged:
        kind = one.question.variant.partition(".")[0]
        names = ["refused"] if kind == "unanswerable" else [kind, "all with an answer"]
        for name in names:
            groups[name][one.question.phrasings].append(one)
    lines = ["| questions | tuned | held out |", "|---|---|---|"]
    for name in sorted(groups, key=lambda name: (name == "refused", name.startswith("all"), name)):
        cells = [_cell(groups[name][phrasings]) for phrasings in ("tuned", "held out")]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    answerable = [one for one in judged if one.question.truth is not None]
    for language in ("en", "zh"):
        of_language = [one for one in answerable if one.question.language == language]
        if not of_language:
            continue
        cells = [
            _cell([one for one in of_language if one.question.phrasings == name]) for name in ("tuned", "held out")
        ]
        lines.append(f"| with an answer, {language} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(judged: Sequence[Judged]) -> str:
    right = sum(one.is_right for one in judged)
    low, high = wilson(right, len(judged))
    return f"{right} of {len(judged)} = {right / max(1, len(judged)):.3f} ({low:.2f} to {high:.2f})"


def main(args: Sequence[str]) -> int:
    """Ask, print a table, and return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2, help="how often each phrasing is asked")
    parser.add_argument("--speech", metavar="MODEL", help="speak the English questions: whisper-base, whisper-tiny.en")
    parser.add_argument("--failures", choices=("tuned", "held out"), help="print the wrong answers of these phrasings")
    options = parser.parse_args(args)
    feeds = known_feeds(SEED)
    with tempfile.TemporaryDirectory() as folder:
        write_index(Path(folder) / "index", feeds)
        questions = known_questions(feeds, SEED, options.draws)
        asker = Asker.open(Path(folder) / "index")
        heard = as_heard(questions, options.speech, asker.lookup.names()) if options.speech else questions
        judged = ask_all(asker, heard)
    sys.stdout.write(table(judged) + "\n")
    wrong = sum(one.wrong_citations for one in judged if one.is_right)
    cited = sum(len(one.answer.results) for one in judged if one.is_right)
    times_s = sorted(one.took_s for one in judged)
    sys.stdout.write(f"\ncitations of right answers: {cited:,}, of them wrong: {wrong}\n")
    sys.stdout.write(
        f"an answer takes {1e3 * times_s[len(times_s) // 2]:.0f} ms (p50), {1e3 * times_s[-1]:.0f} ms at most\n"
    )
    for one in judged:
        if one.question.phrasings == options.failures and not one.is_right:
            sys.stdout.write(
                f"{one.question.variant} {one.question.text}\n    {one.answer.understood} → {one.answer.text[:200]}\n"
            )
            sys.stdout.write(f"    {str(one.question.truth and one.question.truth.value)[:200]}\n")
    return 0 if _meets_goals(judged, wrong) else 1


def _meets_goals(judged: Sequence[Judged], wrong: int) -> bool:
    answered = [one.is_right for one in judged if one.question.truth is not None]
    refused = [one.is_right for one in judged if one.question.truth is None]
    return sum(answered) >= EXACT_GOAL * len(answered) and sum(refused) >= REFUSED_GOAL * len(refused) and not wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
