"""Records in, records out: Kafka, and memory for one process."""
