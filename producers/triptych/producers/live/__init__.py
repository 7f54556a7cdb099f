"""Live feeds: one process each, restarted when the connection is lost."""
