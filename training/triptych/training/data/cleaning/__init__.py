"""Find and remove bad items of a data set before training."""
