"""Sum up what an index holds of a stream, hour by hour."""
