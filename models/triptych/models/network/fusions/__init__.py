"""Fusions: from the tokens of all modalities to one vector for each window."""
