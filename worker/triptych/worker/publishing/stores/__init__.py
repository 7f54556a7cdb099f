"""Result stores: recent results of each stream, for subscribers."""
