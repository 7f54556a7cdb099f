"""An index on a server of PostgreSQL with pgvector, for more readers and rows than one machine serves."""
