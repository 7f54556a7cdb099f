"""Open a recommender for a pipeline: its topic, its index, its model, and the encoder of texts when one is needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from triptych.consumers.recommending.index_catalogue import IndexCatalogue
from triptych.consumers.recommending.interaction_topic import InteractionLog
from triptych.consumers.recommending.recommender import Recommender
from triptych.consumers.recommending.recommender_file import read_recommender
from triptych.consumers.searching.cli import index_folder
from triptych.schemas.errors import UsageError
from triptych.transport.open import open_transport

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from triptych.consumers.searching.search import QueryEmbedder
    from triptych.settings.tree import Settings
    from triptych.transport.protocols import Transport

_BASE_SPACE: Final = "semantic-1"
NO_ENCODER: Final = (
    "there is no encoder of texts in the space of the items; install the extra `worker`, "
    "and where the workers have a --picture-space, give it here too"
)
"""Why texts do not count where `embedder_of` returns None."""


class LateEmbedder:
    """Embeds texts of a space. The encoder is loaded with the first text, since most answers need none."""

    def __init__(self, space: str, picture_space: str = "") -> None:
        self.name = space
        self._picture_space = picture_space
        self._loaded: QueryEmbedder | None = None

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, D]. Blocks while the encoder is loaded, and runs.

        Raises:
            UsageError: the encoder's space is another one.
        """
        if self._loaded is None:
            from triptych.models.spaces.text_space import build_text_space  # noqa: PLC0415 - imports torch

            self._loaded = build_text_space("base", self._picture_space)
        if self._loaded is None or self._loaded.name != self.name:
            found = None if self._loaded is None else self._loaded.name
            raise UsageError(f"texts: expected an encoder of the space {self.name}, got {found}; see --picture-space")
        return self._loaded.embed_texts(texts)


def embedder_of(space: str | None, picture_space: str = "") -> LateEmbedder | None:
    """Return the encoder of a space's texts, by default of the base model's; None where none is installed or known."""
    if find_spec("torch") is None or (space not in {None, _BASE_SPACE} and not picture_space):
        return None
    return LateEmbedder(space or _BASE_SPACE, picture_space)


def catalogue_of(settings: Settings, index: Path | None) -> IndexCatalogue | None:
    """Open the index of a pipeline. Without a named folder it may be missing: then there are items with texts only."""
    folder = index or index_folder(settings.pipeline)
    return IndexCatalogue.open(folder) if index is not None or folder.is_dir() else None


def model_file(settings: Settings, named: Path | None = None) -> Path:
    """Return the file of the trained recommender."""
    if named is not None or settings.recommend.model:
        return named or Path(settings.recommend.model)
    index = index_folder(settings.pipeline)
    return index.parent.parent / "recommend" / f"{settings.pipeline}.safetensors"


class OpenedRecommender(Recommender):
    """A recommender that also closes the transport that was opened for it."""

    transport: Transport | None = None

    def close(self) -> None:
        """Close the interactions and the transport."""
        super().close()
        if self.transport is not None:
            self.transport.close()


def open_recommender(
    settings: Settings,
    *,
    index: Path | None = None,
    model: Path | None = None,
    picture_space: str = "",
    users: Collection[str] | None = None,
) -> OpenedRecommender:
    """Open a recommender for a pipeline. Close it at the end.

    Args:
        settings: where Kafka is, the pipeline, and the files.
        index: folder of the index; by default that of the pipeline, which may be missing.
        model: the trained recommender; by default that of the settings. A missing default is no error: then shipped
            weights serve.
        picture_space: the foundation model of the workers' `--picture-space`, if they have one.
        users: the pseudonyms that are asked about; None for any.

    Raises:
        UsageError: index, model and encoder do not fit together, or a named file is missing.
        TopicMissingError: the topic of interactions does not exist.
    """
    catalogue = catalogue_of(settings, index)
    file = model_file(settings, model)
    is_named = model is not None or bool(settings.recommend.model)
    trained = read_recommender(file) if is_named or file.exists() else None
    space = (catalogue.space if catalogue else None) or (trained.document.space if trained else None)
    transport = open_transport(settings.kafka)
    try:
        log = InteractionLog(transport, settings.pipeline, users)
        opened = OpenedRecommender(log, catalogue, trained, embedder_of(space, picture_space))
    except BaseException:
        transport.close()
        raise
    opened.transport = transport
    return opened
