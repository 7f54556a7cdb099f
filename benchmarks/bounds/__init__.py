"""How much a worker holds, by measurement: see `__main__`."""
