"""Checks and measures what a GPU does, part by part, beside the CPU: `make bench-gpu`, `python -m benchmarks.gpu`."""
