"""The partitions of a worker: assignment, offsets, and restoring state after a rebalance."""
