"""Models that predict windows: protocol, networks, checkpoints, pretrained weights and execution."""
