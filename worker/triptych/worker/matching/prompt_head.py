"""How much each source counts for a prompt: shipped, or fitted to feedback and read from a small JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from triptych.schemas.errors import UsageError
from triptych.schemas.perception.prompts import digest
from triptych.schemas.values import FROZEN_MAPPING, Count, Value
from triptych.worker.matching.evidence import PRIOR_LOG_ODDS, Source


class PromptWeights(Value):
    """The weights of the evidence for one version of a prompt, the log-odds before evidence, and what they rest on."""

    version: str
    prior: float = PRIOR_LOG_ODDS
    by_source: Annotated[Mapping[Source, float], *FROZEN_MAPPING] = Field(default_factory=dict, validate_default=True)
    yes: Count = 0
    no: Count = 0


class PromptHead(Value):
    """The weights by prompt. `version` changes with any of them; None for the shipped ones."""

    schema_version: Annotated[int, Field(ge=1)] = 1
    version: str | None = None
    prompts: Annotated[Mapping[str, PromptWeights], *FROZEN_MAPPING] = Field(
        default_factory=dict, validate_default=True
    )

    def weights_of(self, name: str, version: str) -> PromptWeights:
        """Return the weights of a prompt. Those fitted to another version of it do not count."""
        fitted = self.prompts.get(name)
        return _SHIPPED if fitted is None or fitted.version != version else fitted


_SHIPPED: Final = PromptWeights(version="")
SHIPPED_HEAD: Final = PromptHead()
"""Every source counts once."""


def new_prompt_head(prompts: Mapping[str, PromptWeights]) -> PromptHead:
    """Return a head with these weights, and the version that belongs to them."""
    documents = [f"{name}={weights.model_dump_json()}" for name, weights in sorted(prompts.items())]
    return PromptHead(version=digest(*documents), prompts=prompts)


def read_prompt_head(path: Path) -> PromptHead:
    """Return the head in a file that `triptych train --from-feedback` wrote. Raises `UsageError` if it is not one."""
    try:
        head = PromptHead.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: expected a readable file with a prompt head, got: {error}") from error
    except ValidationError as error:
        raise UsageError(
            f"{path}: expected a prompt head that `triptych train --from-feedback` wrote, got: {error}"
        ) from error
    if head.version != new_prompt_head(head.prompts).version:
        raise UsageError(f"{path}: expected the weights that its version {head.version!r} names, got others")
    return head
