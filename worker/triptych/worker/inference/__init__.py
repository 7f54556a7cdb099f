"""Micro-batches of ready windows: pure."""
