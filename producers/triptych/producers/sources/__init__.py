"""The sources that a user names, and the tracks in them."""
