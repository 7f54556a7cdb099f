"""Read the interactions of public data sets in the layouts that they are published in."""
