"""Transport over Kafka with librdkafka, a client in C: it needs the extra `librdkafka`."""
