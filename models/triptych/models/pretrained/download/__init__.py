"""Download, verification and caching of pretrained weights."""
