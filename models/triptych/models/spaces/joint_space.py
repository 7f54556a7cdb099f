"""The protocol of joint spaces: windows and texts in, vectors of one space out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triptych.models.prediction import WindowVectors
    from triptych.models.window import PreparedWindow


class JointSpace(Protocol):
    """A space that texts, pictures and sounds share. It is not thread-safe: one thread makes all calls."""

    @property
    def name(self) -> str:
        """Return the name of the space, with its version. Vectors of different spaces must not be compared."""

    @property
    def dimensions(self) -> int:
        """Return the length of a vector."""

    @property
    def sha256(self) -> str:
        """Return a checksum that changes whenever any weight changes."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, D]. Any language that the space knows."""

    def embed_windows(self, windows: Sequence[PreparedWindow]) -> list[WindowVectors | None]:
        """Return the vectors of each window, in order; None for a window with nothing that the space can embed."""
