"""Triptych watches many live feeds and says, for every few seconds of each, what goes on.

This root holds the public names only; the code is in the five packages beside it.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
