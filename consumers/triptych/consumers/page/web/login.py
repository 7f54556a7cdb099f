"""Sessions in signed cookies, and the limit of failed logins. The clock is passed in."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from collections import OrderedDict, deque
from pathlib import Path
from typing import Final

from triptych.consumers.page.web.access import PageUser, Users
from triptych.schemas.errors import UsageError

COOKIE: Final = "triptych_session"
SESSION_S: Final = 7 * 86_400
_KEY_BYTES: Final = 32
_FAILURES: Final = 10
_ALL_FAILURES: Final = 200
_FAILURE_S: Final = 300.0
_MOST_CLIENTS: Final = 10_000
_LONGEST_COOKIE: Final = 2_048


def session_key(path: Path | None) -> bytes:
    """Return the key that signs cookies: that of a file, which is created if missing, or a new one.

    Raises:
        UsageError: the file cannot be used.
    """
    if path is None:
        return secrets.token_bytes(_KEY_BYTES)
    try:
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = bytes.fromhex(path.read_text(encoding="ascii").strip())
        else:
            key = secrets.token_bytes(_KEY_BYTES)
            with os.fdopen(number, "w", encoding="ascii") as file:
                file.write(f"{key.hex()}\n")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: expected a file with a session key, or a new one, got: {error}") from error
    if len(key) < _KEY_BYTES:
        raise UsageError(f"{path}: expected {_KEY_BYTES} bytes in hexadecimal, got {len(key)}")
    return key


class Sessions:
    """Makes and checks the values of session cookies. They hold a name and a time, and need no memory."""

    def __init__(self, key: bytes, users: Users) -> None:
        """Use a key, and users of whom each has a token."""
        self._key = key
        self._users = users

    def cookie(self, user: PageUser, now_s: float) -> str:
        """Return the value of the cookie of somebody who has just logged in."""
        content = json.dumps([user.name, self._proof(user), int(now_s) + SESSION_S]).encode()
        return f"{_encoded(content)}.{_encoded(self._signature(content))}"

    def user(self, cookie: str, now_s: float) -> PageUser | None:
        """Return whose cookie it is; None if it is forged, too old, or of a user whose token is another one now."""
        content_text, _, signature_text = cookie.partition(".")
        if len(cookie) > _LONGEST_COOKIE:
            return None
        try:
            content, signature = _decoded(content_text), _decoded(signature_text)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(signature, self._signature(content)):
            return None
        name, proof, until_s = json.loads(content)
        user = self._users.get(name)
        if user is None or now_s >= until_s or not hmac.compare_digest(proof, self._proof(user)):
            return None
        return user

    def _proof(self, user: PageUser) -> str:
        """Return what changes with the user's token, and does not tell its hash."""
        return hmac.digest(self._key, b"token\0" + user.token_hash.encode(), "sha256").hex()[:32]

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._key, b"session\0" + content, hashlib.sha256)


class LoginLimit:
    """Bounds the failed logins: of one address, and of all of them. A right token is never counted or refused."""

    def __init__(self) -> None:
        """Start without any failure."""
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=_ALL_FAILURES)

    def wait_s(self, address: str, now_s: float) -> int:
        """Return for how many seconds an address may not try; 0 if it may try now."""
        own = self._failures.get(address, deque())
        limits = ((own, _FAILURES), (self._all, _ALL_FAILURES))
        waits = [times[-most] + _FAILURE_S - now_s for times, most in limits if len(times) >= most]
        return max(0, *(int(wait) + 1 if wait > 0 else 0 for wait in waits), 0)

    def note_failure(self, address: str, now_s: float) -> None:
        """Count a failed login."""
        self._failures.setdefault(address, deque(maxlen=_FAILURES)).append(now_s)
        self._failures.move_to_end(address)
        self._all.append(now_s)
        if len(self._failures) > _MOST_CLIENTS:
            self._failures.popitem(last=False)


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
