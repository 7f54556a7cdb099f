"""From records to the transport: a bounded queue, what is dropped of it, and the thread that empties it."""
