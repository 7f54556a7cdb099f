"""What a user names as a source, checked before anything is opened: a file, or any URL that FFmpeg opens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from triptych.schemas.errors import UsageError

OPEN_TIMEOUT_S: Final = 15.0
"""How long a URL may take until it is known what it holds."""

READ_TIMEOUT_S: Final = 10.0
"""How long a URL may say nothing."""

_RTSP_TIMEOUT_S: Final = 8.0
"""The same for a camera, kept by FFmpeg itself: what its decoder still holds then comes before the worker's
`align.idle_timeout_ms` has passed, and is not late."""
_RTSP_STALE_S: Final = 7.5
"""At its limit FFmpeg hands out the last packet that it had, and waits as long again before it gives up."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_MAX_URI_CHARACTERS: Final = 2_048
_DEVICES: Final = frozenset({"alsa", "avfoundation", "dshow", "fbdev", "lavfi", "pulse", "v4l2", "x11grab"})
"""FFmpeg's inputs that are no protocol: `v4l2:///dev/video0`."""

_NESTED_CREDENTIALS: Final = re.compile(r"//[^/?#]*@")
_RTSP: Final = frozenset({"rtsp", "rtsps"})


@dataclass(frozen=True, slots=True)
class FileSource:
    """A media file."""

    path: Path

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.path.name

    @property
    def label(self) -> str:
        """What errors and logs call it."""
        return str(self.path)

    @property
    def uri(self) -> str:
        """The `ce_source` of its records."""
        uri = self.path.absolute().as_uri()
        return uri if len(uri) <= _MAX_URI_CHARACTERS else uri[-_MAX_URI_CHARACTERS:]

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        return "media file"

    @property
    def location(self) -> str:
        """What FFmpeg is to open."""
        return str(self.path)

    @property
    def format(self) -> str | None:
        """FFmpeg's input format; None to let it look."""
        return None

    @property
    def options(self) -> Mapping[str, str]:
        """What FFmpeg is told besides."""
        return {}

    @property
    def timeouts_s(self) -> tuple[float, float] | None:
        """How long opening and each read may take; None for as long as they need."""
        return None

    @property
    def stale_after_s(self) -> float | None:
        """After what wait for a packet the source counts as lost though one came; None for never."""
        return None


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A URL. What may be secret in it, user name, password and query, is told to nobody but FFmpeg."""

    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """The host and the path, as a file's name would be."""
        parts = urlsplit(self.uri)
        path = PurePosixPath(parts.path).with_suffix("") if parts.path.strip("/") else PurePosixPath()
        words = [parts.netloc, *(part for part in path.parts if part != "/")]
        return f"{'-'.join(word for word in words if word)}.{parts.scheme}"

    @property
    def label(self) -> str:
        """What errors and logs call it."""
        return self.uri

    @property
    def uri(self) -> str:
        """The `ce_source` of its records."""
        parts = urlsplit(self.url)
        place = parts.netloc.rpartition("@")[2] + parts.path
        if "@" in self.url and "@" not in parts.netloc and ":" in parts.netloc:
            place = parts.netloc.partition(":")[0]  # perhaps a password that was not written as a URL wants it
        return _NESTED_CREDENTIALS.sub("//", f"{parts.scheme}://{place}")[:_MAX_URI_CHARACTERS]

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        return "feed"

    @property
    def location(self) -> str:
        """What FFmpeg is to open."""
        return self.url if self.format is None else self.url.split("://", 1)[1]

    @property
    def format(self) -> str | None:
        """FFmpeg's input format, of a device; None to let it look."""
        scheme = urlsplit(self.url).scheme
        return scheme if scheme in _DEVICES else None

    @property
    def options(self) -> Mapping[str, str]:
        """What FFmpeg is told besides: RTSP goes over TCP, HLS begins at its live edge."""
        if self.format is not None:
            return {}
        scheme = urlsplit(self.url).scheme
        if scheme in _RTSP:
            return {"rtsp_transport": "tcp", "timeout": str(round(_RTSP_TIMEOUT_S * 1e6))}
        if scheme in {"http", "https"}:
            return {"live_start_index": "-1", "rw_timeout": str(round(READ_TIMEOUT_S * 1e6))}
        return {}

    @property
    def timeouts_s(self) -> tuple[float, float] | None:
        """How long opening and each read may take."""
        return OPEN_TIMEOUT_S, READ_TIMEOUT_S

    @property
    def stale_after_s(self) -> float | None:
        """After what wait for a packet the source counts as lost though one came; None for never."""
        return _RTSP_STALE_S if urlsplit(self.url).scheme in _RTSP else None


Source = FileSource | UrlSource


def parse_source(text: str) -> Source:
    """Return the source that a user's word names; raise `UsageError` where there is none."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return FileSource(_readable(Path(text), text))
    if scheme[1].lower() == "file":
        return FileSource(_readable(Path(unquote(urlsplit(text).path)), text))
    return _url(scheme[1].lower(), text[scheme.end() :])


def _url(scheme: str, rest: str) -> UrlSource:
    try:
        source = UrlSource(f"{scheme}://{rest}")
        if source.format is None:
            _ = urlsplit(source.url).port
        readable = bool(rest.strip("/")) and source.uri.isprintable()
    except ValueError:  # brackets that do not match, a port that is no number
        readable = False
    if not readable:
        raise UsageError(
            f"expected a URL such as rtsp://camera/stream, got one of the kind {scheme}:// that cannot be read; "
            "in a user name or password, write / as %2F, ? as %3F, # as %23, @ as %40"
        )
    return source


def _readable(path: Path, text: str) -> Path:
    if path.is_dir():
        raise UsageError(f"{text}: expected a media file, got a folder")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise UsageError(f"{text}: expected a media file, got an empty one")
    except FileNotFoundError:
        raise UsageError(f"{text}: no such file") from None
    except OSError as error:
        raise UsageError(f"{text}: cannot be read ({error.strerror})") from None
    return path
