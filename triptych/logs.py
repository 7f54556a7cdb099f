"""What the programs say of themselves: structlog events on stderr, for people on a terminal, else as JSON lines.

Imports nothing of ours but the settings, so that every program may use it.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog

from triptych.settings import LogSettings

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _Stderr:
    """Standard error as it is when a line is written: a live table puts itself in its place for a while."""

    def write(self, text: str) -> int:
        """Write some text."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Write out what is buffered."""
        sys.stderr.flush()


def configure_logs(settings: LogSettings) -> None:
    """Set up structlog for a program; call it once, before anything is logged."""
    terminal = sys.stderr.isatty()
    as_json = settings.format == "json" or (settings.format == "auto" and not terminal)
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        processors += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    else:
        processors += [structlog.dev.ConsoleRenderer(colors=terminal)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(_Stderr()),  # type: ignore[arg-type]  # it only writes and flushes
        cache_logger_on_first_use=False,
    )
