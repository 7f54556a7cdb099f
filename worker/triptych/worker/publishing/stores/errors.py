"""What can go wrong between the worker and its result store, sorted by what the worker does next."""

from __future__ import annotations

from triptych.schemas.errors import TriptychError

EXIT_STORE_REFUSED = 5


class StoreError(TriptychError):
    """Stand above every error of a result store."""


class StoreUnavailableError(StoreError):
    """Say that the store did not answer, or has no room now: offer the same batch again later."""


class StoreRefusedError(StoreError):
    """Say that the store will not take our writes until a person acts (password, permission, wrong server)."""

    exit_code = EXIT_STORE_REFUSED
