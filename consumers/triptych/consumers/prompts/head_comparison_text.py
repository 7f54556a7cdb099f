"""Format a comparison of two heads of prompts for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from triptych.consumers.prompts.head_comparison import HeadPair, JudgedHeads, PromptComparison

FEWEST_ANSWERS: Final = 20
"""With fewer answers no head is called better: the interval of the bootstrap is too narrow."""


def head_comparison_lines(found: Sequence[PromptComparison], heads: HeadPair) -> Iterator[str]:
    """Return the comparison as lines: for each prompt the windows, and what the answers say."""
    if not found:
        yield "no matches and no answers"
    for one in found:
        yield f"{one.prompt}, version {one.version}: {_windows(one)}"
        if one.largest is not None:
            distance, result_id, active, candidate = one.largest
            mean = one.total_distance / one.windows
            yield (
                f"  scores differ by {mean:.3f} on average, by {distance:.3f} at most "
                f"({result_id}: {active} | {candidate})"
            )
        if one.of_another_head:
            yield f"  {one.of_another_head} matches were published by another head than the active one (prompts.head)"
        if one.prompt not in heads.candidate.prompts:
            yield "  the candidate has the shipped weights for this prompt"
        elif heads.candidate.prompts[one.prompt].version != one.version:
            yield "  the candidate was fitted to another version of this prompt: here it has the shipped weights"
        yield from _answers(one)


def _windows(one: PromptComparison) -> str:
    if not one.windows:
        return "no windows"
    agreement = 1 - one.differed / one.windows
    return (
        f"{one.windows} windows, agreement {agreement:.1%} at a score of .5: both {one.both}, neither {one.neither}, "
        f"only the active head {one.only_active}, only the candidate {one.only_candidate}"
    )


def _answers(one: PromptComparison) -> Iterator[str]:
    if one.fitted is not None:
        yield f"  {_judged(one.fitted)}, to which the candidate was fitted: they say little"
    if one.new is not None:
        yield f"  {_judged(one.new)}: {_verdict(one.new)}"
    if one.fitted is None and one.new is None:
        yield "  no answers: `triptych feedback RESULT_ID yes|no --prompt NAME` gives one"


def _judged(judged: JudgedHeads) -> str:
    pairs = (judged.active, judged.candidate)
    areas = " | ".join("-" if each.auroc is None else f"{each.auroc:.3f}" for each in pairs)
    losses = " | ".join(f"{each.log_loss:.3f}" for each in pairs)
    return f"{judged.yes + judged.no} answers ({judged.yes} yes), active | candidate: AUROC {areas}, log loss {losses}"


def _verdict(judged: JudgedHeads) -> str:
    mean, low, high = judged.gain
    gain = f"gain {mean:.3f} ({low:.3f} to {high:.3f})"
    if judged.yes + judged.no < FEWEST_ANSWERS:
        return f"{gain}; too few to tell which is better, at least {FEWEST_ANSWERS} are needed"
    if low > 0:
        return f"{gain}; the candidate is better"
    return f"{gain}; the active head is better" if high < 0 else f"{gain}; neither is clearly better"
