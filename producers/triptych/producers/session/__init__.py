"""One session of a source: its tracks, records and clocks."""
