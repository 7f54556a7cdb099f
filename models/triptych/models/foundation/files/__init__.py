"""The files of foundation models: sources, download, verification, loading."""
