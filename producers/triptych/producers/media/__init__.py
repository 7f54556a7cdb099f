"""Decode, sample and encode video and audio."""
