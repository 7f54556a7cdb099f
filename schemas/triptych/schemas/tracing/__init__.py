"""Trace contexts of records and results."""
