"""The graph of an index: windows, and what was seen, heard and said in them, as RDF."""
