"""Which offsets are finished and may be committed: pure."""
