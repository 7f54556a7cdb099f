"""Reading an open source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from triptych.producers.sources.media_file import MediaFile
from triptych.producers.sources.source import FileSource


def test_a_stale_packet_ends_reading(make_media: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """After such a wait FFmpeg returns an old packet. The next session gets newer ones."""
    source = FileSource(make_media())
    monkeypatch.setattr(FileSource, "stale_after_s", 0.0)
    with MediaFile.open(source, "eng") as media:
        assert list(media.packets(with_text=False)) == []
        assert media.read_error == "nothing came within the time limit"
