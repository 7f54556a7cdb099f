"""Train on generated phantoms, compare with what is possible, and answer one study, with citations.

    python -m examples.medical.run --out report.md      from the top folder of the repository

Needs the extras `train` and `medical`. A recipe on generated phantoms: not a product and not a medical device.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.medical.expert_rules import cited_rules
from examples.medical.model import FitOptions, RecordsModel
from examples.medical.notice import NOTICE
from examples.medical.phantoms import (
    FINDINGS,
    OTHER_SCANNER,
    SOURCES,
    USUAL_SCANNER,
    Scanner,
    draw_phantom,
    phantom_ceiling,
    write_study,
)
from examples.medical.scoring import detection_scores
from examples.medical.studies import Study, read_study

Labelled = tuple[list[Study], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class PhantomSizes:
    """Number of studies of each split."""

    train: int = 2_000
    test: int = 1_000


def labelled_studies(split: str, count: int, folder: Path, scanner: Scanner = USUAL_SCANNER) -> Labelled:
    """Write studies into a folder and read them back; return them with their findings, bool [N, K]."""
    studies, truth = [], []
    for number in range(count):
        phantom = draw_phantom(f"{split}/{number}")
        place = folder / scanner.name / split / str(number)
        write_study(phantom, place, scanner)
        studies.append(read_study(place))
        truth.append(phantom.findings)
    return studies, np.array(truth, bool)


def report_lines(model: RecordsModel, test: Labelled, shifted: Labelled) -> Iterator[str]:
    """Yield the report: all subsets of the sources against their ceilings, another scanner, abstention, one study."""
    studies, truth = test
    yield from ("# Findings of generated phantoms", "", f"**{NOTICE}**", "")
    yield f"{len(studies)} test studies. 95 % intervals by bootstrap. `possible` is exact, by enumeration of the rates."
    yield from ("", "## Each subset of the sources", "")
    yield "| finding | sources | AUROC | possible | sensitivity at 95 % specificity | possible |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for size in range(len(SOURCES), 0, -1):
        for sources in combinations(SOURCES, size):
            scores = model.logits([study.only(sources) for study in studies])
            yield from _score_rows(" + ".join(sources), sources, truth, scores)
    yield from ("", "## Another scanner: noise, blur, contrast, inverted and mirrored", "")
    yield "| finding | sources | AUROC | possible | sensitivity at 95 % specificity | possible |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for sources in (("image",), SOURCES):
        scores = model.logits([study.only(sources) for study in shifted[0]])
        yield from _score_rows(" + ".join(sources), sources, shifted[1], scores)
    yield from ("", "## Abstention", "")
    yield from _abstention_lines(model, test)
    yield from ("", "## One study", "")
    yield from study_lines(model, studies[0])


def study_lines(model: RecordsModel, study: Study) -> Iterator[str]:
    """Yield what the model says about a study, and which rules cite something. The notice comes first."""
    yield from (f"**{NOTICE}**", "")
    found = {}
    for one in model.answer(study):
        said = {True: "found", False: "not found", None: "no answer: not certain enough"}[one.answer]
        parts = ", ".join(f"{source} {share:.0%}" for source, share in one.shares.items())
        yield f"- {one.finding}: {said}; probability {one.probability:.2f}; from {parts}"
        if one.answer:
            found[one.finding] = one.probability
    cited = cited_rules(found, {} if study.record is None else study.record.values)
    for rule in cited:
        yield f"- Rule `{rule.rule}` holds ({'; '.join(rule.because)}). To read: {rule.citation}."
    if not cited:
        yield "- No rule holds."


def _score_rows(
    name: str, sources: Sequence[str], truth: NDArray[np.bool_], scores: NDArray[np.float64]
) -> Iterator[str]:
    for index, finding in enumerate(FINDINGS):
        ceiling = phantom_ceiling(finding, sources)
        own = detection_scores(truth[:, index], scores[:, index])
        area, hits = f"{own.auroc} | {ceiling.auroc:.3f}", f"{own.sensitivity} | {ceiling.sensitivity:.3f}"
        yield f"| {finding} | {name} | {area} | {hits} |"


def _abstention_lines(model: RecordsModel, test: Labelled) -> Iterator[str]:
    probabilities = model.probabilities(test[0])
    given = ~model.abstains(probabilities)
    wrong = (probabilities >= 0.5) != test[1]  # noqa: PLR2004 - the more probable answer
    yield "| finding | answered | wrong of those | wrong without abstention |"
    yield "| --- | --- | --- | --- |"
    for index, finding in enumerate(FINDINGS):
        answered = given[:, index]
        share = f"{wrong[answered, index].mean():.3f}" if answered.any() else "none"
        yield f"| {finding} | {answered.mean():.3f} | {share} | {wrong[:, index].mean():.3f} |"


def _number_from(least: int) -> Callable[[str], int]:
    """Return a type of an option: whole numbers that are large enough."""

    def parsed(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else -1
        if number < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return number

    return parsed


def main() -> None:
    """Run the recipe; print or write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], epilog=NOTICE)
    sizes = PhantomSizes()
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the report here; without it, print it")
    parser.add_argument("--train", type=_number_from(10), default=sizes.train, metavar="N")
    parser.add_argument("--test", type=_number_from(10), default=sizes.test, metavar="N")
    parser.add_argument("--steps", type=_number_from(1), default=FitOptions().steps, metavar="N")
    given = parser.parse_args()
    if given.out is not None:
        try:  # before minutes of training
            given.out.open("a", encoding="utf-8").close()
        except OSError as error:
            parser.exit(2, f"--out: expected a file that can be written, got {given.out}: {error.strerror}\n")
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        train = labelled_studies("train", given.train, Path(folder))
        validation = labelled_studies("validation", max(20, given.train // 4), Path(folder))
        test = labelled_studies("test", given.test, Path(folder))
        shifted = labelled_studies("test", given.test, Path(folder), OTHER_SCANNER)
    model = RecordsModel()
    model.fit(train, validation, FitOptions(steps=given.steps))
    text = "\n".join([
        *report_lines(model, test, shifted), "",
        f"{given.train} training studies, {given.steps} steps, {time.monotonic() - began_s:.0f} s.",
    ]) + "\n"  # fmt: skip
    if given.out is None:
        print(text)
    else:
        given.out.write_text(text, encoding="utf-8")
        print(f"{NOTICE}\n{given.out}")


if __name__ == "__main__":
    main()
