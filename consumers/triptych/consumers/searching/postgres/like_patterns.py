"""Patterns of names as those of SQL."""

from __future__ import annotations


def like_pattern(pattern: str) -> str:
    """Return a pattern with `*` and `?` as one of SQL's LIKE, whose own signs stand for themselves in it."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
