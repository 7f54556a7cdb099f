"""From media sources to records: demux, decode, sample, publish."""
