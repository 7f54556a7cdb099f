"""Fetch the records that a result rests on."""
