"""Triptych watches many live feeds and says, for every few seconds of each, what goes on.

This root holds the public names only; the code is in the five packages beside it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.consumers.async_subscriber import AsyncSubscriber
    from triptych.consumers.rule import Rule
    from triptych.consumers.subscriber import Subscriber
    from triptych.schemas.results import Result

__version__ = "0.1.0"

__all__ = ["AsyncSubscriber", "Result", "Rule", "Subscriber", "__version__"]

_HOMES = {
    "AsyncSubscriber": "triptych.consumers.async_subscriber",
    "Result": "triptych.schemas.results",
    "Rule": "triptych.consumers.rule",
    "Subscriber": "triptych.consumers.subscriber",
}


def __getattr__(name: str) -> object:
    """Import a public name's module when it is first asked for, so that importing the root costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
