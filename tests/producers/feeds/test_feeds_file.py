"""Reading the feeds file."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from triptych.producers.feeds.feeds_file import read_feeds
from triptych.producers.sources.source import FileSource, UrlSource
from triptych.schemas.errors import UsageError

Sample = Callable[[str], Path]


def test_each_feed_has_its_own_options(feeds_file: Callable[[str], Path], sample: Sample) -> None:
    """Other options have the defaults of the command line, except that a feed is played in real time."""
    media = sample("bbb_5s_51ch.mp4")
    plans = read_feeds(
        feeds_file(f"""
        [feeds.door]
        source = "rtsp://user:Geheim@camera/1"
        fps = 0.5
        [feeds.film]
        source = "{media}"
        loop = 0
        height = 180
    """)
    )

    assert list(plans) == ["door", "film"]
    assert isinstance(plans["door"].source, UrlSource)
    assert plans["door"].fps == Fraction(1, 2)
    assert plans["film"].source == FileSource(media)
    assert (plans["film"].stream, plans["film"].loops, plans["film"].height) == ("film", 0, 180)
    assert plans["film"].realtime


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[feeds", "TOML"),
        ("", r"\[feeds.ID\]"),
        ("feeds = 3", r"\[feeds.ID\]"),
        ("[feeds.a]\nfps = 3", "source"),
        ('[feeds.a]\nsource = "rtsp://u:Geheim@h/1"\nfbs = 3', "fbs"),
        ('[feeds.a]\nsource = "rtsp://u:Geheim@h/1"\nfps = "Geheim no"', "--fps"),
        ('[feeds."a b"]\nsource = "rtsp://u:Geheim@h/1"', "stream id"),
        ('[feeds.a]\nsource = "missing.mkv"', "no such file"),
        ('[feeds.a]\nsource = "rtsp://u:Geheim@h:Geheim/1"', "cannot be read"),
        ('[feeds.a]\nsource = ["rtsp://u:Geheim@h/1"]', "source"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(feeds_file: Callable[[str], Path], content: str, message: str) -> None:
    """It names the file and the feed, and no password."""
    with pytest.raises(UsageError, match=message) as caught:
        read_feeds(feeds_file(content))

    assert "feeds.toml" in str(caught.value)
    assert "rtsp://u" not in str(caught.value)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    """It is not taken for an empty list."""
    with pytest.raises(UsageError, match="No such file"):
        read_feeds(tmp_path / "feeds.toml")
