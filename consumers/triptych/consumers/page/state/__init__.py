"""What the page remembers: bounded, in memory, and only on the event loop. No I/O."""
