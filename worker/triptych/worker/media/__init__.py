"""From the encoded items of a window to what a model takes: choose, decode, place in time."""
