"""Pseudonyms of users: a keyed hash of the name, so that names are written nowhere."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Final

from triptych.files import why_unreadable
from triptych.schemas.errors import UsageError

_LEAST_BYTES: Final = 16
_DIGITS: Final = 32


class Pseudonyms:
    """Turns names into pseudonyms: the first 128 bits of HMAC-SHA-256 (RFC 2104). Equal secrets give equal ones."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _LEAST_BYTES:
            raise UsageError(f"secret of pseudonyms: expected at least {_LEAST_BYTES} bytes, got {len(secret)}")
        self._secret = secret

    @classmethod
    def read(cls, path: str | Path) -> Pseudonyms:
        """Read the secret of a file.

        Raises:
            UsageError: there is none, it cannot be read, or it is too short.
        """
        if not str(path):
            raise UsageError(
                "secret of pseudonyms: expected a file in recommend.secret_file (--secret-file), got none; "
                "`openssl rand -hex 32 > FILE` makes one. Keep it: with another one, users are others"
            )
        file = Path(path)
        if not file.is_file():
            raise UsageError(
                f"{file}: expected the secret of pseudonyms, found no file; `openssl rand -hex 32 > {file}` makes one"
            )
        if problem := why_unreadable(file):
            raise UsageError(problem)
        return cls(file.read_bytes().strip())

    def of(self, name: str) -> str:
        """Return the pseudonym of a name.

        Raises:
            UsageError: the name is empty.
        """
        if not name.strip():
            raise UsageError("user: expected a name, got none")
        return hmac.new(self._secret, name.strip().encode(), hashlib.sha256).hexdigest()[:_DIGITS]
