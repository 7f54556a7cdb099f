"""Compare the results of two pipelines."""
