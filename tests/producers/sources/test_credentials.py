"""Credentials in the text of a source."""

from __future__ import annotations

import pytest

from triptych.producers.sources.credentials import has_credentials


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://user:secret@camera/live",
        "rtsp://user:s%40c@camera:8554/live",
        "rtsp://:secret@camera/live",
        "https://host/live.m3u8?token=abc",
        "https://host/live.m3u8?x=1&X-Amz-Signature=abc",
        "https://host/live.m3u8?Key-Pair-Id=K&sig=abc",
        "http://camera/video.cgi?user=admin&pwd=12345",
        "http://camera/video?api_key=1",
        "http://camera/video?key=1",
        "https://host/live.m3u8?hdnts=1&access_token=2",
    ],
)
def test_a_url_with_a_secret_is_recognised(source: str) -> None:
    """A password, or a parameter with a telling name."""
    assert has_credentials(source)


@pytest.mark.parametrize(
    "source",
    [
        "film.mkv", "/films/user:secret@host.mkv", "film.mkv?token=1", "rtsp://user@camera/live", "rtsp://camera/live",
        "https://host/live.m3u8?quality=hd&keyframe=2&monkey=1", "https://host/live.m3u8?token=", "http://[broken/live",
        "lavfi://testsrc2,realtime", "v4l2:///dev/video0",
    ],
)  # fmt: skip
def test_other_sources_have_none(source: str) -> None:
    """Files of any name, URLs without a secret, and invalid ones, which are refused elsewhere."""
    assert not has_credentials(source)
