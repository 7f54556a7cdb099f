"""The sources that users name, and that no secret in them is exposed."""

from __future__ import annotations

import pytest

from triptych.producers.sources.source import UrlSource, parse_source
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
def test_no_secret_of_a_url_is_exposed(url: str, uri: str | None) -> None:
    """Not even in a URL with unescaped characters."""
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


def test_the_stream_of_a_url_is_named_after_host_and_path() -> None:
    """So two cameras have different names."""
    names = [parse_source(url).name for url in ("rtsp://10.0.0.1/cam", "rtsp://10.0.0.2/cam.sdp", "udp://@239.0.0.1:9")]

    assert stream_ids(names) == ("10.0.0.1-cam", "10.0.0.2-cam", "239.0.0.1-9")


def test_a_device_is_opened_by_its_input_format() -> None:
    """FFmpeg's input devices are not protocols."""
    source = parse_source("v4l2:///dev/video0")

    assert (source.format, source.location) == ("v4l2", "/dev/video0")


def test_a_url_without_a_host_is_a_usage_error() -> None:
    """The message has an example."""
    with pytest.raises(UsageError, match="rtsp://camera/stream"):
        parse_source("rtsp://")


def test_a_frozen_camera_is_lost_before_its_track_is_idle() -> None:
    """By FFmpeg's timeout, and ours for the packet that FFmpeg returns at it. A feed in segments may take longer."""
    source = parse_source("rtsp://camera/live")
    limit_s = int(source.options["timeout"]) / 1e6

    assert source.stale_after_s is not None
    assert source.stale_after_s < limit_s < AlignSettings().idle_timeout_ms / 1e3
    assert parse_source("https://host/channel.m3u8").stale_after_s is None
