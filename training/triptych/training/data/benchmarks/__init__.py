"""Generated benchmarks whose truth and ceilings are known."""
