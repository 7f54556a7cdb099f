"""Where results go besides the results topic."""
