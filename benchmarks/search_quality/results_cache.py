"""Keep the results of rendered media in a file, since to make them takes minutes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from triptych.schemas.results import Result

_VERSION: Final = 1
"""To be raised with each change of the rendering or the models."""


def cached_results(folder: Path, name: str, made_of: object, make: Callable[[], Sequence[Result]]) -> list[Result]:
    """Return the results from the folder, or make them and write them to it.

    Args:
        folder: where they are kept.
        name: what they are of.
        made_of: a value whose `repr` tells them from others.
        make: makes them.
    """
    key = hashlib.sha256(f"{_VERSION} {made_of!r}".encode()).hexdigest()[:12]
    file = folder / f"{name}-{key}.jsonl"
    if not file.is_file():
        lines = [result.model_dump_json() + "\n" for result in make()]
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".part")
        unfinished.write_text("".join(lines), encoding="utf-8")
        unfinished.rename(file)
    return [Result.model_validate_json(line) for line in file.read_text(encoding="utf-8").splitlines()]
