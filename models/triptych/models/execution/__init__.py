"""Execution of networks: batch sizes, devices, exported graphs and warm-up."""
