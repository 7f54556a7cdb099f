"""Generate the machine-readable contract from the models: JSON Schema of a result, AsyncAPI of the topics."""
