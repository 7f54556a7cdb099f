"""Readers of the file formats of public data sets."""
