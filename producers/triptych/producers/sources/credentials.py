"""Tell whether the text of a source contains credentials, by its form only."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

_SECRET_NAME: Final = re.compile(r"pass|pwd|token|secret|auth|signature|api.?key|(^|[-_])(key|sig)$", re.IGNORECASE)
"""Names of query parameters that hold a secret, as cameras, CDNs and cloud storage use them."""


def has_credentials(text: str) -> bool:
    """Return whether a source is a URL with a password, or with a parameter whose name says that it is secret."""
    if "://" not in text:
        return False
    try:
        parts = urlsplit(text)
        password, query = parts.password, parse_qsl(parts.query)
    except ValueError:
        return False  # the error about the URL itself follows
    return bool(password) or any(_SECRET_NAME.search(name) and value for name, value in query)
