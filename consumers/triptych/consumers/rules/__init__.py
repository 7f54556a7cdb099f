"""Rules that select results."""
