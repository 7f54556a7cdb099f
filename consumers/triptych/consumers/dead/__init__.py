"""Dead letters: list them, show them, redrive them."""
