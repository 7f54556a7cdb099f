"""Read media sources, and publish them as streams of records."""
