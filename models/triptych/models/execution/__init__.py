"""Running networks: batch sizes, devices, exported graphs and warm-up."""
