"""The page under load: synthetic feeds, a real server, a real browser. `python -m benchmarks.page_load`."""
