"""The server of `triptych page`: what the feeds of a pipeline show and say, in a browser."""
