"""Alignment of three input partitions into event-time windows. Pure: decided by records and the arrival clock alone."""
