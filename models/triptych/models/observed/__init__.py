"""Observations that need no training: image labels, share of speech, loudness, language."""
