"""Train and evaluate the semantic space, on the stamps of Tux Paint and the names of the ImageNet labels."""
