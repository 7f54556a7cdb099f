"""Answer questions about what an index holds, with times and evidence."""
