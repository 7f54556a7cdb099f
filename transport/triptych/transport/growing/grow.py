"""Add partitions to all topics of an installation, at a moment at which no window is split between two partitions.

A stream moves to the partition of its key by the new number. Its state does not: the worker of the new partition sees a
new stream. So nothing may be sent while the topics grow, and the window in which a stream ended must be over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

from triptych.schemas.names import INPUT_TOPICS, consumer_group
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.growing.drain import (
    DrainRules,
    PipelineDrain,
    Progress,
    newest_sent,
    partitions_of,
    read_to,
    sent_media,
)
from triptych.transport.growing.plan import GrowthPlan, GrowthRefusedError, plan_growth
from triptych.transport.protocols import TopicAdmin, Transport
from triptych.transport.records import TopicPartition
from triptych.transport.topics import all_topics
from triptych.units import NS_PER_S

_LOOK_S: Final = 0.5
_SHOWN_STREAMS: Final = 10
_NEWEST: Final = 100
_VISIBLE_S: Final = 30.0
_LINE_EVERY_S: Final = 10.0
_LONGEST_AHEAD_NS: Final = 120 * NS_PER_S
"""A stream that is further than this ahead of now is no live feed: it does not go on at the wall clock's time."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class GrowthTimes:
    """How long to wait, in seconds, and the clocks.

    Attributes:
        quiet_s: how long nothing must arrive in the input topics until their producers count as stopped.
        drain_s: how long to wait for the workers; 0 for a look only.
        rules: the settings of alignment that decide which windows workers owe.
        monotonic_s: measures the waits.
        wall_ns: the wall clock, which live feeds use as event time.
        pause: waits.
    """

    quiet_s: float
    drain_s: float
    rules: DrainRules
    monotonic_s: Callable[[], float] = time.monotonic
    wall_ns: Callable[[], int] = time.time_ns
    pause: Callable[[float], None] = time.sleep


class TopicGrower:
    """Grows the topics of one installation. Blocks; every method may raise `RetriableError`."""

    def __init__(self, transport: Transport, times: GrowthTimes, say: Say) -> None:
        """Work on an installation, whose transport the caller closes. `say` gets each line for the user."""
        self._transport = transport
        self._admin = transport.admin()
        self._times = times
        self._say = say

    def plan(self, pipeline: str, partitions: int) -> GrowthPlan:
        """Return what is to be done. See `plan_growth`."""
        return plan_growth(_all_counts(self._admin, pipeline), pipeline, partitions)

    def grow(self, plan: GrowthPlan, *, drained: bool = True, dry_run: bool = False) -> None:
        """Grow the topics once producers are stopped and, with `drained`, workers have published everything.

        Workers that wait because the topics differ are not waited for. What nobody waits for is not read.

        Raises:
            GrowthRefusedError: something is sent, or workers did not finish in time. Nothing was changed.
        """
        self._describe(plan)
        ends = self._wait_until_quiet()
        known = self._warn_of_open_tracks(ends)
        is_awaited = drained and not plan.is_interrupted
        with ExitStack() as stack:
            drains = [
                stack.enter_context(closing(self._drain(plan, name, is_awaited=is_awaited))) for name in plan.pipelines
            ]
            self._describe_moves(plan, known.union(*(drain.streams for drain in drains)))
            self._wait_until_drained(drains, required=is_awaited and not dry_run)
            if dry_run:
                self._say("dry run: nothing was changed")
                return
            ends_ns = [end_ns for drain in drains for end_ns in drain.newest_ends_ns]
            if not is_awaited or any(drain.note for drain in drains):
                ends_ns += self._unpublished_ends_ns(plan)
            self._wait_until_windows_are_over(ends_ns)
        self._check_still_quiet(ends)
        self._add_partitions(plan)

    # --- before -------------------------------------------------------------------------------------------------------

    def _describe(self, plan: GrowthPlan) -> None:
        for step in plan.steps:
            self._say(f"{step.topic}: {step.before} -> {step.after} partitions")
        if plan.is_interrupted:
            self._say("the topics differ now, so workers wait until they are equal: they are not waited for")

    def _wait_until_quiet(self) -> dict[TopicPartition, int]:
        """Return the ends of the input topics once nothing has arrived for the time of `GrowthTimes.quiet_s`."""
        first = self._input_ends()
        deadline_s = self._times.monotonic_s() + self._times.quiet_s
        self._say(f"watching the input topics for {self._times.quiet_s:g} s")
        while self._times.monotonic_s() < deadline_s:
            self._times.pause(_LOOK_S)
            self._check_still_quiet(first)
        return first

    def _check_still_quiet(self, ends: Mapping[TopicPartition, int]) -> None:
        now = self._input_ends()
        grown = {tp: offset for tp, offset in ends.items() if now[tp] > offset}
        if not grown:
            return
        keys = {record.key or b"" for record in read_to(self._transport, grown)}
        names = sorted(key.decode(errors="replace") for key in keys)
        raise GrowthRefusedError(
            f"records arrive of {_named(names)}: stop their producers, and start them again after the growth. A "
            "producer learns of new partitions in the middle of a window, and the window would be published twice, "
            "each time with a part of its records. Nothing was changed"
        )

    def _warn_of_open_tracks(self, ends: Mapping[TopicPartition, int]) -> frozenset[str]:
        """Name streams of which no producer said the end: it was killed, or it runs and its source is silent.

        Return the streams that were sent last.
        """
        newest = read_to(self._transport, {tp: max(0, end - _NEWEST) for tp, end in ends.items()})
        limit_ns = self._times.wall_ns() - self._times.rules.stream_ttl_ns  # older ones are forgotten
        found = sent_media(newest, self._times.rules.max_future_ns)
        sent = {stream: each for stream, each in found.items() if each.arrival_ns > limit_ns}
        names = sorted(stream for stream, each in sent.items() if not all(each.ended.values()))
        if names:
            self._say(
                f"note: {_named(names)} did not end. If a producer of it still runs and its source is silent, stop it"
            )
        return frozenset(sent)

    def _drain(self, plan: GrowthPlan, pipeline: str, *, is_awaited: bool) -> PipelineDrain:
        return PipelineDrain(
            self._transport,
            pipeline,
            plan.counts,
            rules=self._times.rules,
            progress=self._saying(f"pipeline {pipeline}: what is not committed") if is_awaited else None,
            wall_ns=self._times.wall_ns,
        )

    def _saying(self, subject: str) -> Progress:
        """Return a function that says now and then how much of something is read."""
        said_s = self._times.monotonic_s()

        def say(done: int, total: int) -> None:
            nonlocal said_s
            if self._times.monotonic_s() - said_s >= _LINE_EVERY_S:
                said_s = self._times.monotonic_s()
                self._say(f"{subject}: {done} of {total} records read")

        return say

    def _describe_moves(self, plan: GrowthPlan, known: Collection[str]) -> None:
        moved = [f"{name} ({old} -> {new})" for name, (old, new) in sorted(plan.moved(known).items())]
        self._say(
            f"{len(moved)} of {len(known)} streams of the last minutes move: {_named(moved) if moved else 'none'}"
        )

    def _wait_until_drained(self, drains: Sequence[PipelineDrain], *, required: bool) -> None:
        for drain in drains:
            if drain.note:
                self._say(f"pipeline {drain.pipeline}: not waited for, {drain.note}")
        deadline_s = self._times.monotonic_s() + (self._times.drain_s if required else 0)
        said: dict[str, int] = {}
        while True:
            waiting = {drain.pipeline: drain.waiting() for drain in drains}
            for pipeline, streams in waiting.items():
                if said.get(pipeline, 0) != len(streams):
                    said[pipeline] = len(streams)
                    self._say(f"pipeline {pipeline}: windows of {len(streams)} streams are still to be published")
            if not any(waiting.values()):
                return
            if self._times.monotonic_s() >= deadline_s:
                break
            self._times.pause(_LOOK_S)
        if required:
            raise GrowthRefusedError(self._undrained(waiting))

    def _undrained(self, waiting: Mapping[str, Sequence[str]]) -> str:
        lines = []
        for pipeline, streams in waiting.items():
            if streams:
                workers = len(self._admin.members(consumer_group(pipeline)))
                lines.append(
                    f"pipeline {pipeline} ({workers} workers) has not published all windows of {_named(streams)}"
                )
        return (
            f"after {self._times.drain_s:g} s, {'; '.join(lines)}. `triptych doctor` says where they are; with "
            "--backlog the topics grow all the same, and these windows are published later, beside newer ones. "
            "Nothing was changed"
        )

    def _unpublished_ends_ns(self, plan: GrowthPlan) -> list[int]:
        """Return by when, in event time, the newest windows of what was sent last end at the latest."""
        rules = self._times.rules
        sent = newest_sent(
            self._transport,
            partitions_of(INPUT_TOPICS, plan.counts),
            rules,
            now_ns=self._times.wall_ns(),
            progress=self._saying("what was sent last"),
        )
        return [each.told_ns + rules.size_ns for each in sent.values()]

    def _wait_until_windows_are_over(self, ends_ns: Iterable[int]) -> None:
        """Wait for the wall clock: a live feed that starts again must not start in a window that it sent a part of."""
        now_ns = self._times.wall_ns()
        latest_ns = now_ns + _LONGEST_AHEAD_NS + self._times.rules.size_ns
        later_ns = [end_ns for end_ns in ends_ns if end_ns > now_ns]
        if any(end_ns > latest_ns for end_ns in later_ns):
            self._say("note: the newest windows are in the future: start such films again under another stream id")
        over_ns = max((end_ns for end_ns in later_ns if end_ns <= latest_ns), default=now_ns)
        if over_ns > now_ns:
            self._say(f"waiting {(over_ns - now_ns) / NS_PER_S:.1f} s until the newest windows are over")
            self._times.pause((over_ns - now_ns) / NS_PER_S)

    # --- the growth ---------------------------------------------------------------------------------------------------

    def _add_partitions(self, plan: GrowthPlan) -> None:
        for is_input in (False, True):
            wanted = {step.topic: step.after for step in plan.steps if (step.topic in INPUT_TOPICS) is is_input}
            if wanted:
                self._admin.grow(wanted)
        deadline_s = self._times.monotonic_s() + _VISIBLE_S
        names = tuple(plan.counts)
        while any(found.partitions != plan.partitions for found in self._admin.identify(names).values()):
            if self._times.monotonic_s() >= deadline_s:
                raise BrokerUnavailableError(
                    f"the brokers do not show {plan.partitions} partitions of all topics after {_VISIBLE_S:g} s; "
                    "run the same command again"
                )
            self._times.pause(_LOOK_S)
        self._say(
            f"all topics have {plan.partitions} partitions. Workers go on by themselves within 40 s (topics_grown in "
            "their logs); start the producers again"
        )

    def _input_ends(self) -> dict[TopicPartition, int]:
        counts = self._admin.identify(INPUT_TOPICS)
        tps = [TopicPartition(topic, number) for topic, found in counts.items() for number in range(found.partitions)]
        return self._admin.appended_offsets(tps)


def _all_counts(admin: TopicAdmin, pipeline: str) -> dict[str, int]:
    names = {*admin.names(), *all_topics(pipeline)}
    return {name: found.partitions for name, found in admin.identify(tuple(names)).items()}


def _named(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_STREAMS
    return ", ".join(names[:_SHOWN_STREAMS]) + (f" and {more} more" if more > 0 else "")
