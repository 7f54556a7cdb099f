"""Objects and faces in the pictures of a window."""
