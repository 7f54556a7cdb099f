"""Dual encoders of pictures or sounds, and texts."""
