"""Fusions, which combine the tokens of all modalities into one vector per window."""
