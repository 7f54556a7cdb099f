"""Read a prompt head from a file, for workers and comparisons."""

from __future__ import annotations

from pathlib import Path

from triptych.schemas.errors import UsageError
from triptych.schemas.perception.prompt_head import PromptHead, parse_prompt_head


def read_prompt_head(path: Path) -> PromptHead:
    """Return the head in a file that `triptych train --from-feedback` wrote. Raises `UsageError` if it is not one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: expected a readable file with a prompt head, got: {error}") from error
    return parse_prompt_head(content, name=str(path))
