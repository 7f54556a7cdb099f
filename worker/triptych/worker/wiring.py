"""Which parts a worker is made of: the one module that chooses implementations and turns settings into parts.

Everything is opened on an `ExitStack`, so closing is the reverse of opening.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol
from uuid import uuid4

from triptych.models.build import ModelChoice, build_model
from triptych.models.model import Model
from triptych.schemas.names import INPUT_TOPICS, TOPIC_OF, VIDEO_TOPIC, Modality, consumer_group
from triptych.service.health import Health
from triptych.service.signals import ReloadSignal
from triptych.settings.tree import Settings
from triptych.transport.errors import TopicMissingError
from triptych.transport.protocols import GroupConsumer, Publisher, TransactionalPublisher, Transport
from triptych.transport.records import OutOfRangePolicy, TopicPartition
from triptych.units import NS_PER_MS
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.inference.batcher import MicroBatcher
from triptych.worker.inference.model_runner import Inference
from triptych.worker.inference.stages import FlowLimits, Stages, WindowJob
from triptych.worker.media.preparer import Preparer
from triptych.worker.observability.events import PartitionRestored
from triptych.worker.observability.hooks import Hook, Hooks
from triptych.worker.overload import Overload, ladder_of
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.partitions.restore import RestorePlan, read_tail
from triptych.worker.pipeline import Pipeline, PipelineLimits, RestoreWork
from triptych.worker.publish_cutoff import EVERYTHING, PublishCutoff
from triptych.worker.publishing.at_least_once import AtLeastOnceSender
from triptych.worker.publishing.messages import MessageBuilder
from triptych.worker.publishing.publisher import ResultPublisher
from triptych.worker.publishing.retry import RetryPolicy
from triptych.worker.publishing.sender import BatchSender
from triptych.worker.publishing.stores.protocol import ResultStore, StoredResult
from triptych.worker.publishing.transactional import TransactionalSender
from triptych.worker.reprocessing.agreement import refuse_reprocessing
from triptych.worker.serving.candidate import make_ready
from triptych.worker.serving.files import WatchedFiles, watched_files
from triptych.worker.serving.reloader import ModelSlot, Reloader
from triptych.worker.serving.shadow import Shadow

_BATCHES_IN_FLIGHT: Final = 4
_CLOSE_LIMIT_S: Final = 10.0
_HAND_OVER_MARGIN_S: Final = 2.0
"""So much longer than the worker's own limit the transport waits: the worker should be the one that leaves the rest."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a worker runs in: where records come from, where results go, who looks on.

    Without a bell the model stays the one that it began with.
    """

    transport: Transport
    store: ResultStore
    hooks: Sequence[Hook]
    health: Health
    reload_signal: ReloadSignal | None = None


class Scope(Protocol):
    """What of the log a worker reads, and what of its decisions it publishes."""

    @property
    def when_out_of_range(self) -> OutOfRangePolicy:
        """Where to go on when retention has taken what is read next."""

    def narrow(self, consumer: GroupConsumer) -> tuple[GroupConsumer, PublishCutoff]:
        """Return the consumer to read from, and the horizon of what is published."""


@dataclass(frozen=True, slots=True)
class WholeLog:
    """Everything, from where the group committed on: what a live worker reads."""

    pipeline: str
    when_out_of_range: OutOfRangePolicy

    def narrow(self, consumer: GroupConsumer) -> tuple[GroupConsumer, PublishCutoff]:
        """Return the consumer as it is, having made sure that its group does not reprocess a span."""
        refuse_reprocessing(consumer, self.pipeline)
        return consumer, EVERYTHING


def align_config(settings: Settings) -> AlignConfig:
    """Return the settings of alignment in nanoseconds."""
    align = settings.align
    slack: dict[Modality, int] = {
        "video": align.out_of_orderness_video_ms * NS_PER_MS,
        "audio": align.out_of_orderness_audio_ms * NS_PER_MS,
        "subtitles": align.out_of_orderness_subtitles_ms * NS_PER_MS,
    }
    return AlignConfig(
        size_ns=settings.window.size_ns,
        hop_ns=settings.window.hop_ns,
        idle_timeout_ns=align.idle_timeout_ms * NS_PER_MS,
        out_of_orderness_ns=MappingProxyType(slack),
        max_hold_ns=align.max_hold_ms * NS_PER_MS,
        max_cue_ns=align.max_cue_ms * NS_PER_MS,
        max_empty=align.max_empty,
        max_future_ns=align.max_future_ms * NS_PER_MS,
        stream_ttl_ns=align.stream_ttl_ms * NS_PER_MS,
        clock_margin_ns=align.clock_margin_ms * NS_PER_MS,
        stream_max_bytes=align.stream_max_bytes,
        partition_max_bytes=align.partition_max_bytes,
        ahead_max_bytes=align.stream_max_bytes,
        max_lead_ns=align.max_lead_ms * NS_PER_MS,
        allowed_lateness_ns=align.allowed_lateness_ms * NS_PER_MS if align.late == "revise" else None,
        revise_after_ns=align.revise_after_ms * NS_PER_MS,
    )


def model_from(settings: Settings) -> Model:
    """Build the model that the settings name, not yet warm."""
    choice = ModelChoice(
        name=settings.model.name,
        frames=settings.model.frames_per_window,
        window_ns=settings.window.size_ns,
        device=settings.model.device,
        max_batch=settings.batch.max_windows,
        threads=settings.model.threads,
        encoder_devices=settings.model.encoder_devices,
        compiled=settings.model.compiled,
    )
    return build_model(choice)


@contextmanager
def open_pipeline(settings: Settings, around: Dependencies, scope: Scope | None = None) -> Iterator[Pipeline]:
    """Build a worker's pipeline with a warm model, and close its parts at the end; without a scope it is a live one."""
    hooks = Hooks(around.hooks)
    scope = scope or WholeLog(settings.pipeline, settings.kafka.offset_gone)
    partitions = partitions_of(around.transport)
    files = watched_files(settings.model.name) if around.reload_signal is not None else None
    if files is not None:
        files.take()  # before it is read: what changes meanwhile is seen afterwards
    inference = _warm_inference(settings, hooks)
    around.health.set_ready("model_warm", ready=True, reason="")
    with ExitStack() as stack:
        publisher = open_publisher(settings, around.transport)
        stack.callback(lambda: publisher.close(_CLOSE_LIMIT_S))
        joined = around.transport.group_consumer(
            INPUT_TOPICS,
            consumer_group(settings.pipeline),
            when_out_of_range=scope.when_out_of_range,
            hand_over_s=settings.kafka.hand_over_limit_ms / 1_000 + _HAND_OVER_MARGIN_S,
        )
        stack.callback(joined.close)
        consumer, cutoff = scope.narrow(joined)
        publication = _result_publisher(
            publisher, around.store, pipeline=settings.pipeline, hooks=hooks, is_confirmed=consumer.is_confirmed
        )
        shadow = None if settings.model.shadow is None else Shadow(hooks, share=settings.model.shadow_share)
        flow = _flow(settings, inference, publication, hooks=hooks, shadow=shadow)
        stack.callback(flow.close)
        if shadow is not None:
            stack.callback(shadow.close)
        places = list(_places(settings, flow, inference, files=files, shadow=shadow))
        if places:
            watch_s = settings.model.watch_ms / 1_000 or None
            stack.callback(Reloader(places, around.reload_signal or ReloadSignal(), watch_s=watch_s, hooks=hooks).close)
        stack.callback(publication.give_up)  # where something broke: nobody collects any more what still waits
        stack.callback(joined.close)  # again, and first: the group need not wait for stages that still run
        restore = _restorer(settings, around.transport, consumer, partitions=partitions, hooks=hooks)
        limits = PipelineLimits(
            commit_interval_ns=settings.worker.commit_interval_ms * NS_PER_MS,
            shutdown_limit_ns=settings.worker.shutdown_limit_ms * NS_PER_MS,
            hand_over_limit_ns=settings.kafka.hand_over_limit_ms * NS_PER_MS,
            held_bytes=settings.align.partition_max_bytes,
            late_letters=settings.align.late_letters,
        )
        yield Pipeline(
            consumer, restore, flow, publication, limits=limits, hooks=hooks, health=around.health, cutoff=cutoff
        )


def open_publisher(settings: Settings, transport: Transport) -> Publisher | TransactionalPublisher:
    """Open what publishes results: with transactions where each must be on its topic once.

    A static worker has one transactional name for good: its next start ends at once what the last one left open. Any
    other has a name for as long as it lives. Neither is what fences a zombie: the group's generation is.
    """
    if settings.delivery == "at_least_once":
        return transport.publisher()
    return transport.transactional_publisher(f"{settings.pipeline}.{settings.kafka.group_instance_id or uuid4().hex}")


def _result_publisher(
    publisher: Publisher | TransactionalPublisher,
    store: ResultStore,
    *,
    pipeline: str,
    hooks: Hooks,
    is_confirmed: Callable[[], bool],
) -> ResultPublisher:
    """Return a result publisher with the sender that fits `publisher`."""
    retry = RetryPolicy(hooks)
    messages = MessageBuilder(pipeline)
    sender: BatchSender
    if isinstance(publisher, Publisher):
        sender = AtLeastOnceSender(publisher, messages, retry, hooks)
    else:
        sender = TransactionalSender(publisher, messages, retry, hooks, is_confirmed=is_confirmed)
    return ResultPublisher(sender, store, messages, retry=retry, hooks=hooks, is_confirmed=is_confirmed)


def partitions_of(transport: Transport) -> int:
    """Return the number of partitions of the input topics, which is the same for all topics of a pipeline."""
    admin = transport.admin()
    try:
        count = admin.partition_count(VIDEO_TOPIC)
    finally:
        admin.close()
    if count is None:
        raise TopicMissingError(f"{VIDEO_TOPIC}: expected a topic, found none; make it with `triptych topics create`")
    return count


def _warm_inference(settings: Settings, hooks: Hooks) -> Inference:
    model = model_from(settings)
    model.warm()
    return Inference(model, hooks)


def _places(
    settings: Settings, flow: Stages, inference: Inference, *, files: WatchedFiles | None, shadow: Shadow | None
) -> Iterator[ModelSlot]:
    """Yield where models are in service and may be followed by others; without files the first one stays."""
    ready = partial(make_ready, spec=inference.spec, window_ns=settings.window.size_ns)
    if files is not None:
        yield ModelSlot(
            role="model",
            source=settings.model.name,
            files=files,
            build=partial(model_from, settings),
            make_ready=ready,
            info=lambda: inference.info,
            put=lambda model: flow.between_batches(partial(inference.replace, model)).result(),
        )
    if shadow is not None and settings.model.shadow is not None:
        named = settings.model.model_copy(update={"name": settings.model.shadow})
        yield ModelSlot(
            role="shadow",
            source=settings.model.shadow,
            files=watched_files(settings.model.shadow),
            build=partial(model_from, settings.model_copy(update={"model": named})),
            make_ready=ready,
            info=lambda: shadow.info,
            put=shadow.replace,
        )


def _flow(
    settings: Settings, inference: Inference, publication: ResultPublisher, *, hooks: Hooks, shadow: Shadow | None
) -> Stages:
    batcher = MicroBatcher[WindowJob](
        max_windows=settings.batch.max_windows, max_delay_ns=settings.batch.max_delay_ms * NS_PER_MS
    )
    limits = FlowLimits(
        max_windows_in_flight=settings.batch.max_windows * _BATCHES_IN_FLIGHT,
        prepare_threads=settings.worker.prepare_threads,
    )
    preparer = Preparer(inference.spec)
    ladder = ladder_of(settings.worker.overload, inference.spec.frames)
    overload = Overload(ladder, limit_ns=settings.worker.overload_limit_ms * NS_PER_MS)
    return Stages(
        preparer, batcher, inference, publication, limits=limits, overload=overload, hooks=hooks, shadow=shadow
    )


def _restorer(
    settings: Settings,
    transport: Transport,
    consumer: GroupConsumer,
    *,
    partitions: int,
    hooks: Hooks,
) -> RestoreWork:
    """Return what begins the work of a partition number: the results topic tells how it goes on."""
    config = align_config(settings)

    def restore(number: int, start: dict[Modality, int]) -> tuple[PartitionSet, list[StoredResult]]:
        committed = consumer.committed([TopicPartition(topic, number) for topic in TOPIC_OF.values()])
        plan = RestorePlan(
            pipeline=settings.pipeline,
            number=number,
            start=start,
            has_commit=any(commit is not None for commit in committed.values()),
            stream_ttl_ns=config.stream_ttl_ns,
        )
        tail = read_tail(transport, plan, wall_ns=time.time_ns())
        hooks.emit(PartitionRestored(number=number, streams=len(tail.snapshots), results=len(tail.results)))
        work = PartitionSet(
            number, config, start, partitions=partitions, pipeline=settings.pipeline, restored=tail.snapshots
        )
        for stored in tail.results:
            work.recent.remember(stored.result)
        return work, tail.results

    return restore
