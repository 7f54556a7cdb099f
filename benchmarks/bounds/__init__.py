"""Measurements of the memory and other resources of a worker; see `__main__`."""
