"""Spans, and their export over OTLP."""
