"""Subtitles of an HLS channel that lie beside the video, as a playlist of WebVTT segments (a rendition)."""
