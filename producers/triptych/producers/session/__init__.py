"""One source as sessions: tracks, records, watermarks and clocks."""
