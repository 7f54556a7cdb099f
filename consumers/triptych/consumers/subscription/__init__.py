"""Subscriptions: results in order, from Redis or Kafka, resumable by cursor."""
