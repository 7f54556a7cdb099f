"""An answer about the match of a result."""

from __future__ import annotations

import time
from typing import Literal

from triptych.schemas.errors import UsageError
from triptych.schemas.perception.prompts import Feedback
from triptych.schemas.results import Result


def feedback_on(result: Result, prompt: str, answer: Literal["yes", "no"]) -> Feedback:
    """Return an answer given now. It carries the match, so that it can be learnt from when the result is gone.

    Raises:
        UsageError: the result has no match with the prompt.
    """
    match = (result.matches or {}).get(prompt)
    if match is None:
        known = ", ".join(result.matches or {}) or "none"
        raise UsageError(f"result {result.id}: expected a match with the prompt {prompt!r}; its matches are: {known}")
    return Feedback(
        result_id=result.id,
        stream=result.stream,
        prompt=prompt,
        answer=answer,
        match=match,
        model=result.model,
        given_ns=time.time_ns(),
    )
