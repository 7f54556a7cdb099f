"""A file that lists feeds, and the supervisor that plays them."""
