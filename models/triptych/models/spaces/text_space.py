"""The texts of a model's joint space, without the parts of the space that embed windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from triptych.models.pretrained.download.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class TextSpace(Protocol):
    """Embeds texts of a joint space. It is not thread-safe: one thread makes all calls."""

    @property
    def name(self) -> str:
        """Return the name of the space, as in the vectors of windows."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, D]. Blocks while the encoder runs."""


def build_text_space(model_name: str, picture_space: str = "") -> TextSpace | None:
    """Load the texts of the space that a model's windows lie in; None for a model without one. Runs on the CPU.

    Args:
        model_name: the name of the model.
        picture_space: source of the foundation model that takes the place of the model's own space; empty for none.

    Raises:
        UsageError: the weights were not downloaded.
    """
    if picture_space:
        import torch  # noqa: PLC0415 - as below

        from triptych.models.foundation.space import build_foundation_space  # noqa: PLC0415

        return build_foundation_space(picture_space, torch.device("cpu"))
    if model_name == "null":
        return None
    from triptych.models.spaces.semantic import build_semantic_space  # noqa: PLC0415 - imports torch

    return build_semantic_space(cache_folder())
