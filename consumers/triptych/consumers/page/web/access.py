"""Who may look at the page, and at which feeds: users, roles, tokens. No I/O but reading the users file."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from triptych.consumers.page.api_types import ROLES, Role
from triptych.schemas.errors import UsageError

LOCAL_USER: Final = "local"
_TOKEN_BYTES: Final = 32
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_FIELDS: Final = {"name", "token_sha256", "roles", "feeds"}
_MOST_USERS: Final = 10_000


@dataclass(frozen=True, slots=True)
class PageUser:
    """Somebody who looks.

    Attributes:
        name: as it stands in the users file, in the header of the proxy, or `local`.
        roles: what the user may do. `see` is part of each of the others.
        feeds: patterns of the feeds that the user may see, with * and ?.
        token_hash: SHA-256 of the user's token in hexadecimal; empty if the user has none.
    """

    name: str
    roles: frozenset[Role]
    feeds: tuple[str, ...] = ("*",)
    token_hash: str = ""

    @property
    def sees_all(self) -> bool:
        """Whether the user may see every feed, and so what belongs to no single one."""
        return "*" in self.feeds

    def may(self, role: Role) -> bool:
        """Return whether the user has a role."""
        return role in self.roles

    def may_see(self, feed: str) -> bool:
        """Return whether the user may see a feed."""
        return any(fnmatchcase(feed, pattern) for pattern in self.feeds)


def granted_roles(named: Iterable[str]) -> frozenset[Role]:
    """Return roles with those that they include: who operates may also review and see.

    Raises:
        UsageError: there is no such role.
    """
    found: set[Role] = {"see"}
    for name in named:
        if name not in ROLES:
            raise UsageError(f"role: expected {', '.join(ROLES)}, got {name!r}")
        found.update(ROLES[: ROLES.index(name) + 1])
    return frozenset(found)


class Users:
    """The users of a page by name, and their tokens."""

    def __init__(self, users: Iterable[PageUser]) -> None:
        """Take users whose names and tokens are unique."""
        self._users = {user.name: user for user in users}

    @property
    def have_tokens(self) -> bool:
        """Whether somebody can log in with a token."""
        return any(user.token_hash for user in self._users.values())

    def get(self, name: str) -> PageUser | None:
        """Return a user by name."""
        return self._users.get(name)

    def with_token(self, token: str) -> PageUser | None:
        """Return the user of a token. The time that it takes does not depend on the token."""
        wanted, found = token_hash(token), None
        for user in self._users.values():
            if hmac.compare_digest(user.token_hash.encode(), wanted.encode()):
                found = user
        return found


def new_token() -> tuple[str, str]:
    """Return a new token of 256 random bits, and its hash for the users file."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    return token, token_hash(token)


def token_hash(token: str) -> str:
    """Return the hash of a token. A token is random and long, so a hash without salt and stretching is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_users(path: Path) -> Users:
    """Read a users file: TOML with a table `[[user]]` for each user.

    Raises:
        UsageError: the file cannot be read, or is wrong; the message says where.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: expected a TOML file with users, got: {error}") from error
    entries = document.get("user")
    if set(document) != {"user"} or not isinstance(entries, list) or not 0 < len(entries) <= _MOST_USERS:
        raise UsageError(f"{path}: expected one table [[user]] for each user and nothing else (docs/page.md)")
    users = [_user(entry, f"{path}: user {number}") for number, entry in enumerate(entries, start=1)]
    for what, values in (("name", [u.name for u in users]), ("token", [u.token_hash for u in users if u.token_hash])):
        if len(set(values)) < len(values):
            raise UsageError(f"{path}: expected each {what} once, got one twice")
    return Users(users)


def _user(entry: Any, where: str) -> PageUser:  # noqa: ANN401 - any TOML value
    if not isinstance(entry, dict) or not {"name", "roles"} <= set(entry) <= _FIELDS:
        raise UsageError(f"{where}: expected name, roles, and at choice token_sha256 and feeds")
    name, hashed = entry["name"], entry.get("token_sha256", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"{where}: name: expected 1 to 128 printable characters")
    if not isinstance(hashed, str) or (hashed and not _HASH.fullmatch(hashed)):
        raise UsageError(f"{where}: token_sha256: expected 64 of 0-9 a-f; `triptych page --new-token` makes one")
    feeds = _texts(entry.get("feeds", ["*"]), f"{where}: feeds")
    return PageUser(name, granted_roles(_texts(entry["roles"], f"{where}: roles")), feeds, hashed)


def _texts(value: Any, where: str) -> tuple[str, ...]:  # noqa: ANN401 - any TOML value
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise UsageError(f'{where}: expected a list of texts such as ["see"], got {value!r}')
    return tuple(value)
