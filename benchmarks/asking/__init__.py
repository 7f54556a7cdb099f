"""How many questions about generated feeds are answered exactly: `python -m benchmarks.asking`."""
