"""Speech to text for sources without subtitles."""
