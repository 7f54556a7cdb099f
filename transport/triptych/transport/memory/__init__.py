"""Transport within one process, in memory."""
