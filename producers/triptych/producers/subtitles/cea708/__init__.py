"""A decoder of CEA-708 captions."""
