"""Runs a live worker: the command `triptych work` without `--from`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace

from triptych.service.logs import configure_logs
from triptych.service.signals import reload_on_hangup, stop_on_signal
from triptych.settings.tree import Settings
from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import OutOfRangePolicy
from triptych.worker.pipeline import RunReport
from triptych.worker.publish_cutoff import EVERYTHING, PublishCutoff
from triptych.worker.reprocessing.agreement import reject_reprocessing_group
from triptych.worker.servers import open_dependencies
from triptych.worker.wiring import open_pipeline


@dataclass(frozen=True, slots=True)
class WholeLog:
    """The scope of a live worker: everything from the committed offsets on."""

    pipeline: str
    when_out_of_range: OutOfRangePolicy

    @classmethod
    def of(cls, settings: Settings) -> WholeLog:
        """Return the scope of a live worker with these settings."""
        return cls(settings.pipeline, settings.kafka.offset_gone)

    def narrow(self, consumer: GroupConsumer) -> tuple[GroupConsumer, PublishCutoff]:
        """Return the consumer as it is, after checking that its group does not reprocess a time range.

        Raises:
            UsageError: the group reprocesses a time range.
        """
        reject_reprocessing_group(consumer, self.pipeline)
        return consumer, EVERYTHING


def work(settings: Settings, *, until_end: bool = False, any_port: bool = False) -> RunReport:
    """Run a worker on Kafka and Redis until a signal comes, or, with `until_end`, until the end of the topics.

    With `any_port` the status server takes a free port if that of the settings is in use.
    """
    if until_end:
        settings = settings.without_load_shedding()
    configure_logs(settings.log)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        reload_signal = stack.enter_context(reload_on_hangup(stop))
        dependencies = replace(
            stack.enter_context(open_dependencies(settings, any_port=any_port)), reload_signal=reload_signal
        )
        pipeline = stack.enter_context(open_pipeline(settings, dependencies, WholeLog.of(settings)))
        return pipeline.run(stop, until_end=lambda: until_end)
