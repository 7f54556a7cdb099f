"""The wire contract: records, results, names and their codec."""
