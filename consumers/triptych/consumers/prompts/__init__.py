"""Prompts of a pipeline, and what people say of their matches."""
