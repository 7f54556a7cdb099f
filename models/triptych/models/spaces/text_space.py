"""The texts of a model's joint space, without the parts of the space that embed windows."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class TextSpaces:
    """The spaces in which a worker embeds texts.

    Attributes:
        windows: that of the vectors of windows; None if the model has none.
        sounds: that of the vectors of sounds, where it is a space of its own.
        labels: the space in which texts are compared with names of labels.
    """

    windows: TextSpace | None = None
    sounds: TextSpace | None = None
    labels: TextSpace | None = None


def build_text_space(model_name: str, foundation: str = "", device: str = "cpu") -> TextSpace | None:
    """Load the texts of the space that a model's windows lie in; None for a model without one.

    What the model of this process has loaded is shared with it.

    Args:
        model_name: the name of the model.
        foundation: source of the foundation model that takes the place of the model's own space; empty for none.
        device: the device of the foundation model. The model's own texts are embedded on the CPU.

    Raises:
        UsageError: the weights were not downloaded.
    """
    if foundation:
        from triptych.models.execution.device import choose_device  # noqa: PLC0415 - as below
        from triptych.models.foundation.space import build_foundation_space  # noqa: PLC0415

        return build_foundation_space(foundation, choose_device(device))
    if model_name == "null":
        return None
    from triptych.models.spaces.semantic import build_semantic_space  # noqa: PLC0415 - imports torch

    return build_semantic_space(cache_folder())
