"""Reprocessing: what arrived in a span of time, judged once more under another pipeline's name."""
