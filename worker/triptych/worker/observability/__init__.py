"""Seeing the worker run: events, and the hooks that log, count and serve them."""
