"""Choose what embeds the text of a query."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from triptych.models.spaces.text_space import build_text_space

if TYPE_CHECKING:
    from triptych.consumers.searching.search import QueryEmbedder


def query_embedder(space: str, picture_space: str | None) -> QueryEmbedder | None:
    """Load the encoder of queries; None where it is not installed or its source was not named: then words only.

    Args:
        space: the space of the index's vectors.
        picture_space: the source of the foundation model of that space, if it is the space of one.

    Raises:
        UsageError: the weights were not downloaded.
    """
    if find_spec("torch") is None:
        return None
    if not picture_space and not space.startswith("semantic"):
        return None
    return build_text_space("base", picture_space or "")
