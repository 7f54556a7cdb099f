"""Fetch the records behind a result."""
