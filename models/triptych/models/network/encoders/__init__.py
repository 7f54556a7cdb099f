"""Encoders: from one modality of a window to tokens."""
