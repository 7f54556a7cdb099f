"""Train models, and measure them where the truth is known."""
