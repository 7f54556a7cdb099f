"""Trained models on disk: cards, weights, and storage formats."""
