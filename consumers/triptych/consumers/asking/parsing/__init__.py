"""From the words of a question to what it asks for, by rules: English and Chinese. Pure."""
