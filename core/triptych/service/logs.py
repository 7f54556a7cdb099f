"""What the programs say of themselves: structlog events on stderr, for people on a terminal, else as JSON lines.

Imports nothing of ours but the settings, so that every program may use it.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO, cast

import structlog

from triptych.settings.tree import LogSettings

if TYPE_CHECKING:
    from structlog.typing import Processor


class _Stderr:
    """Standard error as it is when a line is written: a live table puts itself in its place for a while."""

    def write(self, text: str) -> int:
        """Write some text."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Write out what is buffered."""
        sys.stderr.flush()


def configure_logs(settings: LogSettings) -> None:
    """Set up logging for a program: our events from the level on, the libraries' from warnings on.

    The Kafka client speaks at the level `debug` only: it has twenty lines for one broker that does not answer, and what
    matters of them comes as our own events and errors.
    """
    number = logging.getLevelNamesMapping()[settings.level.upper()]
    terminal = sys.stderr.isatty()
    stderr = cast("TextIO", _Stderr())  # it is only written to and flushed
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = settings.format == "json" or (settings.format == "auto" and not terminal)
    rendering: list[Processor] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=terminal)]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stderr),  # one write a line: threads do not mix
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
