"""What is wrong with labelled clips, found before a model learns it."""
