"""The command `triptych watch --descriptions`: write descriptions to a terminal or a pipe."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from triptych.consumers.subscription.description_subscriber import DescriptionSubscriber
from triptych.consumers.watching.watch import WatchOptions, stopped_by_sigterm
from triptych.schemas.errors import UsageError
from triptych.service.logs import configure_logs
from triptych.settings.tree import Settings
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from triptych.schemas.perception.descriptions import Description


def watch_descriptions(settings: Settings, options: WatchOptions, *, as_json: bool) -> None:
    """Write one line for each description until a signal, the end, or the end of the reading process.

    Raises:
        TriptychError: an option does not apply to descriptions, or they cannot be read.
    """
    configure_logs(settings.log)
    if options.where is not None:
        raise UsageError("where: expected no rule with --descriptions: rules are about results")
    with DescriptionSubscriber.from_kafka(settings.kafka, pipeline=settings.pipeline) as subscriber:
        found = subscriber.descriptions(options.stream, options.since, until_end=options.until_end)
        with stopped_by_sigterm(subscriber):
            try:
                for description in found:
                    line = description.model_dump_json() if as_json else shown(description)
                    sys.stdout.write(line + "\n")
                    sys.stdout.flush()
            except BrokenPipeError:
                # The reader has closed the pipe (`| head`). Discard what Python would try to write at exit.
                with suppress(OSError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def shown(description: Description) -> str:
    """Return a description as one line for people."""
    started = datetime.fromtimestamp(description.start_ns // NS_PER_S, UTC)
    answers = "".join(f" | {one.prompt or one.question}: {one.answer}" for one in description.answers)
    text = f"{started:%Y-%m-%d %H:%M:%S} {description.stream}  {description.title}: {description.what_happens}{answers}"
    return " ".join(text.split())
