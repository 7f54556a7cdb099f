"""Read subtitles: files, tracks and captions embedded in video."""
