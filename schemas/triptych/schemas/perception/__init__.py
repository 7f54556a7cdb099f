"""What a result says about the content of its window: objects, vectors, matches with prompts."""
