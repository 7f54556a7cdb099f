"""How `triptych watch` speaks of itself: on stderr, since results are on stdout."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TextIO

import structlog

from triptych.settings import LogSettings

if TYPE_CHECKING:
    from structlog.typing import Processor

_FORMAT: Final = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"


def configure_logging(settings: LogSettings, file: TextIO) -> None:
    """Send our events to `file`, and the libraries' from warnings on.

    The Kafka client speaks at the level `debug` only: it has twenty lines for one broker that does not answer, and
    what matters of them comes as our own errors.
    """
    number = logging.getLevelNamesMapping()[settings.level.upper()]
    is_console = settings.format == "console" or (settings.format == "auto" and file.isatty())
    rendering: Processor = (
        structlog.dev.ConsoleRenderer(colors=file.isatty()) if is_console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=file),
    )
    logging.basicConfig(level=max(number, logging.WARNING), format=_FORMAT, stream=file, force=True)
    if settings.level != "debug":
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
