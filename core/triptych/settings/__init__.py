"""The settings of all programs: one immutable tree, read once at startup."""
