"""Live feeds: one process each, reconnected when the connection is lost."""
