"""What the worker asks about a window: the seam, the models behind it, their weights."""
