"""Alignment of three partitions into event-time windows: pure, decided by records and the arrival clock alone."""
