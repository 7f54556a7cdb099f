"""Let a vision-language model describe results, over any OpenAI-compatible endpoint."""
