"""Progress, counters and metrics of a producer."""
