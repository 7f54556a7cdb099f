"""Generate the machine-readable contract from the models: JSON Schema of the documents, AsyncAPI of the topics."""
