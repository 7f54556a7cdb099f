"""Encoders, which convert one modality of a window to tokens."""
