"""Measure a model where the truth is known: every subset of modalities, its confidence, noise, leaks."""
