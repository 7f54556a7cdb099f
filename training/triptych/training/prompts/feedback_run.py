"""The command `triptych train --from-feedback`: reads the answers, fits the prompts, writes the head."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from triptych.consumers.prompts.prompt_topic import read_feedback
from triptych.schemas.errors import UsageError
from triptych.settings.tree import Settings
from triptych.training.prompts.fit_prompt_head import FEWEST_ANSWERS, FittedPrompt, fit_prompts, prompt_head_of
from triptych.transport.open import open_transport

HEAD_FILE: Final = "prompt_head.json"


def train_from_feedback(settings: Settings, folder: Path) -> list[str]:
    """Fit the prompts of a pipeline, and write the head into a folder; return what to tell, one line each. Blocks.

    Raises:
        TopicMissingError: the pipeline has no topic of feedback.
        UsageError: there are no answers.
    """
    with closing(open_transport(settings.kafka)) as transport:
        feedback = read_feedback(transport, settings.pipeline)
    if not feedback:
        raise UsageError(
            f"pipeline {settings.pipeline}: expected answers, found none; "
            "`triptych feedback RESULT_ID yes --prompt NAME` gives one"
        )
    return write_head(fit_prompts(feedback), folder)


def write_head(fitted: Sequence[FittedPrompt], folder: Path) -> list[str]:
    """Write the head if there is a prompt for which it is better; return what to tell."""
    lines = list(map(_line, fitted))
    head = prompt_head_of(fitted)
    if not head.prompts:
        return [
            *lines,
            "no head was written: the shipped weights are as good for every prompt, or there are too few answers",
        ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / HEAD_FILE
    path.write_text(head.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return [*lines, f"head: {path}; TRIPTYCH_PROMPTS_HEAD={path} (prompts.head) puts it into service"]


def _line(prompt: FittedPrompt) -> str:
    answers = f"{prompt.name}: {prompt.weights.yes} yes, {prompt.weights.no} no"
    if prompt.other_versions:
        answers += f", {prompt.other_versions} about other versions left out"
    if prompt.loss_after is None:
        return f"{answers}; not fitted: at least {FEWEST_ANSWERS} of each are needed"
    compared = f"log loss {prompt.loss_before:.3f} with the shipped weights, {prompt.loss_after:.3f} with fitted ones"
    kept = "" if prompt.is_better else "; not better, so the shipped weights stay"
    return f"{answers}; {compared} (10-fold cross-validation){kept}"
