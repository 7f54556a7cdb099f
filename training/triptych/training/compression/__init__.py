"""Make trained models smaller, and say what that cost and brought."""
