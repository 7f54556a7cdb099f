"""Read the file formats that public data sets use."""
