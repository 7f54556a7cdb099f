"""Developer tools: nothing here is shipped."""
