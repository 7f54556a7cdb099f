"""The command `triptych export`: write the results that exist now to a Parquet file.

In memory are the ids of revised windows and one row group, however many results there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from triptych.consumers.exporting.result_table import arrow_schema, record_batch
from triptych.consumers.subscription.last_revisions import last_revisions
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.consumers.subscription.subscriber import Subscriber
from triptych.files import replacing_file
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from triptych.schemas.results import Result

ROW_GROUP_ROWS: Final = 1_000
"""How many results are in memory at a time, and in a row group of the file: some megabytes with detections."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Which results to export. `rule` is an expression as in `triptych watch --where`."""

    stream: str | None = None
    since: str | None = None
    rule: str | None = None


def export_results(subscriber: Subscriber, to: Path, options: ExportOptions) -> int:
    """Write the results that exist now to `to`, and return how many. Of a revised window the last revision is written.

    What is published after the beginning of the export is not in the file. The file appears under its name when it is
    complete; one that was there before is replaced.

    Raises:
        UsageError: an option is invalid, `to` does not end with `.parquet`, or the extra `export` is not installed.
        TriptychError: the results cannot be read.
    """
    if to.suffix != ".parquet":
        raise UsageError(f"--to: expected a file that ends with .parquet, got {to}")
    condition = _condition(options.rule)
    schema = arrow_schema()
    from pyarrow import parquet  # noqa: PLC0415 - an extra; `arrow_schema` tells where it is missing

    windows = written = 0

    def wanted() -> Iterator[Delivery]:
        nonlocal windows
        for delivery in last_revisions(subscriber, options.stream, options.since):
            windows += 1
            if condition(delivery.result):
                yield delivery

    with ExitStack() as stack:
        try:
            partial = stack.enter_context(replacing_file(to))
        except OSError as error:
            raise UsageError(f"--to: {to} cannot be written: {error.strerror}") from error
        writer = stack.enter_context(parquet.ParquetWriter(partial, schema, compression="zstd"))
        for group in _groups(wanted(), ROW_GROUP_ROWS):
            writer.write_batch(record_batch(group, schema), row_group_size=ROW_GROUP_ROWS)
            written += len(group)
    _log.info("exported", results=written, read=windows, to=str(to))
    return written


def _condition(rule: str | None) -> Callable[[Result], bool]:
    if rule is None:
        return lambda _: True
    from triptych.consumers.rules.rule import Rule  # noqa: PLC0415 - its library is only imported if there is a rule

    return Rule(rule).matches


def _groups(deliveries: Iterable[Delivery], size: int) -> Iterator[list[Delivery]]:
    """Iterate over groups of `size` results, the last one smaller."""
    group: list[Delivery] = []
    for delivery in deliveries:
        group.append(delivery)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
