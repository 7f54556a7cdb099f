"""Errors of a result store, one class for each reaction of the worker."""

from __future__ import annotations

from triptych.schemas.errors import TriptychError

EXIT_STORE_REFUSED = 5


class StoreError(TriptychError):
    """Base class of the errors of a result store."""


class StoreUnavailableError(StoreError):
    """The store does not answer, or its answer passes by itself (out of memory, busy, read-only). Write again later."""


class StoreRefusedError(StoreError):
    """The store rejects every write until somebody intervenes: a password, a permission, a wrong server."""

    exit_code = EXIT_STORE_REFUSED
