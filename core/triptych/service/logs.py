"""Logging of all programs: structlog events on stderr, readable on a terminal and as JSON lines otherwise."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from triptych.settings.tree import LogSettings

if TYPE_CHECKING:
    from structlog.typing import Processor


class _Stderr:
    """Writes to the current `sys.stderr`, which a live table replaces temporarily."""

    def write(self, text: str) -> int:
        """Write text."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush the buffer."""
        sys.stderr.flush()


def configure_logs(settings: LogSettings) -> None:
    """Configure logging for a program: its own events from the given level, those of libraries from warnings.

    The Kafka client logs only at level `debug`. It writes some twenty lines for each unavailable broker, and Triptych
    reports what matters in its own events and errors.
    """
    number = logging.getLevelNamesMapping()[settings.level.upper()]
    terminal = sys.stderr.isatty()
    stderr = cast("TextIO", _Stderr())  # structlog only writes and flushes
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = settings.format == "json" or (settings.format == "auto" and not terminal)
    # Tracebacks without the values of variables: passwords are among them.
    rendering: list[Processor] = (
        [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stderr),  # one write per line: lines of threads do not mix
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger("kafka").setLevel(logging.NOTSET if settings.level == "debug" else logging.CRITICAL)
