"""From a closed window to its published result: prepare, batch, infer, publish."""
