"""Public data sets as their authors hand them out, each turned into the one manifest."""
