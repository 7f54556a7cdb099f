"""Lists of feeds in a file, and the processes that follow them."""
