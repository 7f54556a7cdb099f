"""The contract for machines: JSON Schema of a result, AsyncAPI of the topics, both made from the models."""
