"""What generated benchmarks are put together from: rendered once, kept in the cache, apart by split."""
