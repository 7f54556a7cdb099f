"""The scope of a worker that reprocesses: its group agrees on a time range, and the worker reads only that."""

from __future__ import annotations

import threading

from triptych.transport.protocols import GroupConsumer, Transport
from triptych.transport.records import OutOfRangePolicy
from triptych.worker.publish_cutoff import PublishCutoff
from triptych.worker.reprocessing.agreement import AGREEMENT_TP, agree_on_time_range
from triptych.worker.reprocessing.bounded_consumer import BoundedConsumer
from triptych.worker.reprocessing.offset_range import OffsetRange, find_offset_range
from triptych.worker.reprocessing.time_range import TimeRange


class TimeRangeScope:
    """Restricts a worker to a time range. See `Scope` in `wiring.py`."""

    def __init__(
        self,
        transport: Transport,
        proposed: TimeRange,
        offsets: OffsetRange,
        *,
        is_stored: bool,
        when_out_of_range: OutOfRangePolicy,
        clock_margin_ns: int,
        stop: threading.Event,
    ) -> None:
        """Propose a time range to the group, or use the one that the group has stored.

        Args:
            transport: finds the offsets if the group has stored another range meanwhile.
            proposed: the time range.
            offsets: its offsets.
            is_stored: whether the group has stored this range already.
            when_out_of_range: what to do if retention deletes records that are not read yet.
            clock_margin_ns: the clock margin of the aligner.
            stop: ends the wait for the group.
        """
        self._transport = transport
        self._is_stored = is_stored
        self._offsets = offsets
        self._clock_margin_ns = clock_margin_ns
        self._stop = stop
        self.time_range = proposed
        self.when_out_of_range = when_out_of_range
        self.consumer: BoundedConsumer | None = None

    def narrow(self, consumer: GroupConsumer) -> tuple[GroupConsumer, PublishCutoff]:
        """Return a consumer of the time range that the group processes, and its cutoff. Blocks until it is agreed.

        Once a partition is read to the end of the range, the arrival clock may advance to that end and no further. The
        aligner subtracts its clock margin, for brokers whose clocks differ, so the margin is added here.
        """
        if not self._is_stored:
            agreed = agree_on_time_range(consumer, self.time_range, self._offsets.lead[AGREEMENT_TP], self._stop)
            if agreed != self.time_range:
                self._offsets = find_offset_range(self._transport, agreed, len(self._offsets.end) // 3)
                self.time_range = agreed
        self.consumer = BoundedConsumer(consumer, self.time_range, self._offsets)
        return self.consumer, PublishCutoff(self.time_range.from_ns, self.time_range.until_ns + self._clock_margin_ns)
