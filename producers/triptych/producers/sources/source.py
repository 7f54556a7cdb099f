"""A source that a user names: a file, or any URL that FFmpeg opens. Checked before it is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from triptych.files import why_unreadable
from triptych.producers.sources.inspection import is_regular
from triptych.schemas.errors import UsageError

OPEN_TIMEOUT_S: Final = 15.0
"""How long it may take to open a URL and find its tracks."""

READ_TIMEOUT_S: Final = 10.0
"""How long a URL may send nothing."""

_RTSP_TIMEOUT_S: Final = 8.0
"""The read timeout of a camera, which FFmpeg keeps itself. Shorter than the worker's `align.idle_timeout_ms`, so that
what the decoder still holds then is not late."""
_RTSP_STALE_S: Final = 7.5
"""At its timeout FFmpeg returns the last packet that it has, and waits as long again before it reports the error."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_MAX_URI_CHARACTERS: Final = 2_048
_DEVICES: Final = frozenset({"alsa", "avfoundation", "dshow", "fbdev", "lavfi", "pulse", "v4l2", "x11grab"})
"""FFmpeg's input devices, which are named like a protocol: `v4l2:///dev/video0`."""

_NESTED_CREDENTIALS: Final = re.compile(r"//[^/?#]*@")
_RTSP: Final = frozenset({"rtsp", "rtsps"})


@dataclass(frozen=True, slots=True)
class FileSource:
    """A media file.

    Attributes:
        path: the file that the user has named.
        opened: what FFmpeg opens in its place.
    """

    path: Path
    opened: Path | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def label(self) -> str:
        """The name of the source in errors and logs."""
        return str(self.path)

    @property
    def uri(self) -> str:
        """The `ce_source` of its records."""
        uri = self.path.absolute().as_uri()
        return uri if len(uri) <= _MAX_URI_CHARACTERS else uri[-_MAX_URI_CHARACTERS:]

    @property
    def is_read_once(self) -> bool:
        """Whether what was read is gone, as of a pipe. Then nothing may look at the beginning before it is played."""
        return not is_regular(self.path)

    @property
    def kind(self) -> str:
        """The kind of source, for error messages."""
        return "media file"

    @property
    def location(self) -> str:
        """What FFmpeg opens."""
        return str(self.opened or self.path)

    @property
    def format(self) -> str | None:
        """FFmpeg's input format; None to detect it."""
        return None

    @property
    def options(self) -> Mapping[str, str]:
        """The options for FFmpeg."""
        return {}

    @property
    def timeouts_s(self) -> tuple[float, float] | None:
        """The timeouts for opening and for each read, in seconds; None for no limit."""
        return None

    @property
    def stale_after_s(self) -> float | None:
        """The wait after which a packet counts as stale and the source as lost, in seconds; None for never."""
        return None


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A URL. Its user name, password and query may be secret and reach only FFmpeg, never records, logs or errors."""

    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """A name made of the host and the path, in the form of a file name."""
        parts = urlsplit(self.uri)
        path = PurePosixPath(parts.path).with_suffix("") if parts.path.strip("/") else PurePosixPath()
        segments = [parts.netloc, *(part for part in path.parts if part != "/")]
        return f"{'-'.join(segment for segment in segments if segment)}.{parts.scheme}"

    @property
    def label(self) -> str:
        """The name of the source in errors and logs."""
        return self.uri

    @property
    def uri(self) -> str:
        """The `ce_source` of its records."""
        parts = urlsplit(self.url)
        location = parts.netloc.rpartition("@")[2] + parts.path
        if "@" in self.url and "@" not in parts.netloc and ":" in parts.netloc:
            location = parts.netloc.partition(":")[0]  # the rest may be a password with unescaped characters
        return _NESTED_CREDENTIALS.sub("//", f"{parts.scheme}://{location}")[:_MAX_URI_CHARACTERS]

    @property
    def kind(self) -> str:
        """The kind of source, for error messages."""
        return "feed"

    @property
    def location(self) -> str:
        """What FFmpeg opens."""
        return self.url if self.format is None else self.url.split("://", 1)[1]

    @property
    def format(self) -> str | None:
        """FFmpeg's input format for a device; None to detect it."""
        scheme = urlsplit(self.url).scheme
        return scheme if scheme in _DEVICES else None

    @property
    def options(self) -> Mapping[str, str]:
        """The options for FFmpeg: RTSP over TCP, HLS from its live edge, and timeouts."""
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
        """The timeouts for opening and for each read, in seconds."""
        return OPEN_TIMEOUT_S, READ_TIMEOUT_S

    @property
    def stale_after_s(self) -> float | None:
        """The wait after which a packet counts as stale and the source as lost, in seconds; None for never."""
        return _RTSP_STALE_S if urlsplit(self.url).scheme in _RTSP else None


Source = FileSource | UrlSource


def parse_source(text: str) -> Source:
    """Return the source that a path or a URL names.

    Raises:
        UsageError: there is no readable file, or the URL is invalid.
    """
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
    except ValueError:  # unmatched brackets, or a port that is not a number
        readable = False
    if not readable:
        raise UsageError(
            f"expected a URL such as rtsp://camera/stream, got a {scheme}:// URL that cannot be read; "
            "in a user name or password, write / as %2F, ? as %3F, # as %23, @ as %40"
        )
    return source


def _readable(path: Path, text: str) -> Path:
    try:
        if path.is_dir():
            raise UsageError(f"{text}: expected a media file, got a folder")
        if not is_regular(path):
            return path
        with path.open("rb") as file:
            if not file.read(1):
                raise UsageError(f"{text}: expected a media file, got an empty one")
    except FileNotFoundError:
        raise UsageError(f"{text}: no such file") from None
    except OSError as error:
        raise UsageError(why_unreadable(path) or f"{text}: cannot be read ({error.strerror})") from None
    return path
