"""Files of pretrained weights: where they come from, their checksums, where they are kept."""
