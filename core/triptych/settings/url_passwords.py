"""Passwords in URLs of servers: left out of what is printed, and refused where their signs are not encoded. Pure."""

from __future__ import annotations

import re
from typing import Final

_IN_AUTHORITY: Final = re.compile(r"^(?P<before>[\w+.-]+:/+[^:]*:)(?P<secret>.*)(?P<after>@.*)$", re.DOTALL)
"""Up to the last `@`: a password whose signs are not encoded has further ones, or a `/` that seems to end the host."""
_PARAMETER: Final = re.compile(r"(?P<before>[?&#;]\w*password=)[^&]*", re.IGNORECASE)
_HOST_AND_PORT: Final = re.compile(r"[^@:]*(:\d*)?|\[[^]]*\](:\d*)?|[^@]*,[^@]*")
_ENDS_AUTHORITY: Final = re.compile(r"[/?#]")
_BRACKETS: Final = re.compile(r"[\[\]]")


def without_password(url: str) -> str:
    """Return a URL with asterisks in place of its passwords: that of the user, and those of parameters.

    The URL need not be valid: where it is unclear what belongs to a password, more is left out.
    """
    found = _IN_AUTHORITY.match(url)
    if found is None:
        return _PARAMETER.sub(r"\g<before>***", url)
    if _PARAMETER.search(found["secret"]):  # it is unclear which of both has the sign
        return f"{found['before']}***"
    after = _PARAMETER.sub(r"\g<before>***", found["after"])
    return f"{found['before']}***{after}"


def check_password_encoding(url: str) -> None:
    """Refuse a URL whose password has a sign that ends it early: clients would quote the rest in their messages.

    Raises:
        ValueError: it has. The message does not quote it.
    """
    authority = _ENDS_AUTHORITY.split(url.partition("://")[2], maxsplit=1)[0]
    user, has_user, _ = authority.rpartition("@")
    is_cut = not has_user and _IN_AUTHORITY.match(url) is not None and _HOST_AND_PORT.fullmatch(authority) is None
    if is_cut or _BRACKETS.search(user):
        raise ValueError(
            "expected a URL whose user and password have none of the signs / ? # [ ], got one that has; write them as "
            "%2F %3F %23 %5B %5D, or put the password into a file (password_file)"
        )
