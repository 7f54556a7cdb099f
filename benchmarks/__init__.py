"""Benchmarks: each prints a ratio to a limit that it measures in the same run, since machines differ and are noisy."""
