"""Measurements that need no training: loudness, speech, language, labels."""
