"""Benchmarks. Each reports a ratio to a limit measured in the same run, because machines differ and are noisy."""
