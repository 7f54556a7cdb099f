"""The options of `triptych produce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SourcesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE…",
        help="Media files, or URLs that FFmpeg can open. All play at the same time. Other users of the machine can "
        "read arguments in the process list: write a URL with a password or a token into a --feeds file.",
    ),
]
FeedsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Play the feeds listed in this TOML file, and follow its changes. The place for URLs with credentials: "
        "nobody else can read them in a file of mode 600.",
    ),
]
StreamOption = Annotated[
    str | None, typer.Option(metavar="ID", help="Id of the stream. Default: made from the file name.")
]
FpsOption = Annotated[str, typer.Option(metavar="RATE", help="Maximum frames per second to send: 4, 0.5, 30000/1001.")]
HeightOption = Annotated[int, typer.Option(min=16, max=8_192, help="Maximum height of the frames, in pixels.")]
QualityOption = Annotated[int, typer.Option(min=1, max=100, help="Quality of the JPEG images.")]
RealtimeOption = Annotated[
    bool, typer.Option("--realtime/--fast", help="Play at the source's own speed, or as fast as possible.")
]
LoopOption = Annotated[int, typer.Option(min=0, metavar="N", help="Play N times, as one session; 0 for ever.")]
StartAtOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Event time of the start, such as 2026-01-01T00:00:00Z. "
        "Default: now; with --fast, such that the source ends now.",
    ),
]
SubtitlesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Subtitle file to use instead of subtitles in or beside the source: SubRip, WebVTT, ASS, TTML, …",
    ),
]
SubtitleEncodingOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Character encoding of the subtitles, such as cp1251 or shift_jis. Default: UTF-8 or UTF-16 where the "
        "text is valid, else assumed from its characters and its language.",
    ),
]
LanguageOption = Annotated[
    str | None, typer.Option(metavar="TAG", help="Preferred language of the subtitles. Default: eng.")
]
TranscribeOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Transcribe the audio of sources without subtitles: whisper-tiny.en (English) or whisper-base "
        "(any language: that of --language, else detected).",
    ),
]
