"""The notice at the top of everything that this example prints or writes."""

from __future__ import annotations

from typing import Final

NOTICE: Final = (
    "A recipe on generated phantoms. Not a product and not a medical device: it must not be used for diagnosis, "
    "treatment or any decision about a person."
)
