"""How well a search finds known moments: `python -m benchmarks.search_quality`."""
