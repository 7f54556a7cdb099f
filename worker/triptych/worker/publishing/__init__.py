"""Build results and publish them to Kafka and the result store."""
