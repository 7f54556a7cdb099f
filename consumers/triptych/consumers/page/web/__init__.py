"""The HTTP side of the page: who may see what, routes, and the stream of changes."""
