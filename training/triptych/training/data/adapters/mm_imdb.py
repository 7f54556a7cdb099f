"""MM-IMDb: posters and plots of films, each with several of 23 genres."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from triptych.schemas.errors import UsageError
from triptych.training.data.adapters.formats.tables import read_text
from triptych.training.data.adapters.gathering import Gathered, Row
from triptych.training.data.manifest import Labels, Split

_SPLITS: Final[Mapping[str, Split]] = {"train": "train", "dev": "validation", "test": "test"}
_GENRES: Final = (
    "Action", "Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy",
    "Film-Noir", "History", "Horror", "Music", "Musical", "Mystery", "Romance", "Sci-Fi", "Short", "Sport", "Thriller",
    "War", "Western",
)  # fmt: skip
"""The genres that the authors kept; the others are too rare."""


def mm_imdb(root: Path, _: Path) -> Gathered:
    """Gather MM-IMDb. The text is the longest of a film's plots, as in the authors' experiments."""
    gathered = Gathered(Labels(name="mm-imdb", kind="multilabel", labels=_GENRES))
    splits = _object(root / "split.json")
    for theirs, ours in _SPLITS.items():
        for number in splits.get(theirs, ()):
            try:
                film = _object(root / "dataset" / f"{number}.json")
            except UsageError as error:
                gathered.problems.append(f"{number}: {error}")
                continue
            genres = tuple(sorted(_GENRES.index(genre) for genre in film.get("genres", ()) if genre in _GENRES))
            if not genres:
                gathered.problems.append(f"{number}: none of the genres, got {film.get('genres')!r}")
                continue
            poster = root / "dataset" / f"{number}.jpeg"
            if not poster.is_file():
                gathered.problems.append(f"{number}: poster is missing")
            plots = [str(plot) for plot in film.get("plot", ())]
            gathered.rows.append(
                Row(
                    str(number), group=str(number), label=genres, split=ours,
                    video=poster if poster.is_file() else None, text=max(plots, key=len, default=""),
                )
            )  # fmt: skip
    return gathered


def _object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(file))
    except ValueError as error:
        raise UsageError(f"{file}: expected JSON, got: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{file}: expected a JSON object")
    return content
