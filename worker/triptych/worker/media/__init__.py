"""Turns the encoded items of a window into model inputs: selects frames, decodes, and places audio in time."""
