"""`triptych trace`: the trace of a window as a tree."""
