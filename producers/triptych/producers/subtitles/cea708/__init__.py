"""Decode CEA-708 captions."""
