"""From results to subscribers: the SDK and what is built on it."""
