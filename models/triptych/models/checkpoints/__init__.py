"""Trained models on disk: the card that describes one, and the tensors beside it."""
