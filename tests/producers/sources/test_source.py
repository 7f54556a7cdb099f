"""What users name as sources, and what of it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from triptych.producers.sources.media_file import MediaFile
from triptych.producers.sources.source import FileSource, UrlSource, parse_source
from triptych.producers.sources.stream_id import stream_ids
from triptych.schemas.errors import UsageError
from triptych.schemas.values import hide_credentials
from triptych.settings.tree import AlignSettings

SECRET = "Geheim"  # noqa: S105 - of the examples below


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("rtsp://user:Geheim@camera:8554/live/1?key=Geheim#Geheim", "rtsp://camera:8554/live/1"),
        ("HTTPS://Geheim@host/a.m3u8", "https://host/a.m3u8"),
        ("srt://host:9000?passphrase=Geheim", "srt://host:9000"),
        ("rtsp://user:Geheim/x@camera/1", None),
        ("rtsp://user:12/Geheim@camera/1", "rtsp://user"),
        ("rtsp://user:12#Geheim@camera/1", "rtsp://user"),
        ("rtsp://user:12?Geheim@camera/1", "rtsp://user"),
        ("rtsp://user:Geheim@Geheim@camera/1", "rtsp://camera/1"),
        ("v4l2:///dev/video0", "v4l2:///dev/video0"),
        ("lavfi://movie=rtsp://user:Geheim@camera/1", "lavfi://movie=rtsp"),
    ],
)
def test_no_secret_of_a_url_is_told(url: str, uri: str | None) -> None:
    """Nor where it was not written as a URL wants it."""
    if uri is None:
        with pytest.raises(UsageError) as caught:
            parse_source(url)
        assert SECRET not in str(caught.value)
        return
    source = parse_source(url)

    assert isinstance(source, UrlSource)
    assert source.uri == source.label == hide_credentials(source.uri) == uri
    assert SECRET in source.location or uri.startswith("v4l2")
    assert SECRET not in f"{source!r} {source.name} {stream_ids([source.name])}"


def test_a_feeds_stream_is_called_after_its_place() -> None:
    """Host and path, so that two cameras differ."""
    names = [parse_source(url).name for url in ("rtsp://10.0.0.1/cam", "rtsp://10.0.0.2/cam.sdp", "udp://@239.0.0.1:9")]

    assert stream_ids(names) == ("10.0.0.1-cam", "10.0.0.2-cam", "239.0.0.1-9")


def test_a_device_is_opened_as_its_kind() -> None:
    """FFmpeg's inputs that are no protocol."""
    source = parse_source("v4l2:///dev/video0")

    assert (source.format, source.location) == ("v4l2", "/dev/video0")


def test_a_url_without_a_place_is_refused() -> None:
    """With an example of one that has."""
    with pytest.raises(UsageError, match="rtsp://camera/stream"):
        parse_source("rtsp://")


def test_a_frozen_camera_is_given_up_before_it_counts_as_idle() -> None:
    """FFmpeg's limit, and ours for the packet that FFmpeg hands out at it; what has segments may take longer."""
    source = parse_source("rtsp://camera/live")
    limit_s = int(source.options["timeout"]) / 1e6

    assert source.stale_after_s is not None
    assert source.stale_after_s < limit_s < AlignSettings().idle_timeout_ms / 1e3
    assert parse_source("https://host/channel.m3u8").stale_after_s is None


def test_what_comes_after_such_a_wait_ends_the_reading(
    make_film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last packet that FFmpeg had is old by then: the next session has newer ones."""
    film = FileSource(make_film())
    monkeypatch.setattr(FileSource, "stale_after_s", 0.0)
    with MediaFile.open(film, "eng") as media:
        assert list(media.packets(with_text=False)) == []
        assert media.read_error == "nothing came within the time limit"
