"""Index the results of a pipeline, and search them by words and by meaning."""
