"""Fits how much each source counts for a prompt, to what people said of its matches."""
