"""Objects of a window counted, and recognised from picture to picture and from window to window."""
