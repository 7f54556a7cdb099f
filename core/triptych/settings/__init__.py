"""The settings of all programs: one frozen tree, read once at start."""
