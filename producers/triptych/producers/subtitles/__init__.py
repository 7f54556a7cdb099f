"""Subtitles: cue files, text tracks, and captions embedded in the video."""
