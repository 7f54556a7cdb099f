"""Subscriptions to results, from Redis or Kafka; a cursor resumes them."""
