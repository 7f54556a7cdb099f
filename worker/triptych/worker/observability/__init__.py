"""The worker's events, and the hooks that log and count them."""
