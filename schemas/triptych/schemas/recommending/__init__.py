"""What people watched, liked and skipped, what they say of themselves, and what items are about."""
