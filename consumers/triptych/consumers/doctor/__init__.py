"""Follow a feed from the topics to Redis, and say where it stops."""
