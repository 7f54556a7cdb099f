"""Trains the recommender: factors of items, and the head that fuses all scores."""
