"""What the page reads from Kafka and Redis. It blocks, so it runs in threads."""
