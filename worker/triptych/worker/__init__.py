"""From records to results: align, batch, infer, publish, commit."""
