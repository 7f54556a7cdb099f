"""Composes a worker from its parts: the one module that chooses implementations and maps settings to parts.

Everything is opened on an `ExitStack`, so parts are closed in the reverse order of opening.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol
from uuid import uuid4

from triptych.models.build import ModelChoice, build_model
from triptych.models.foundation.sources import FoundationSources
from triptych.models.model import Model
from triptych.schemas.names import INPUT_TOPICS, VIDEO_TOPIC, Modality, consumer_group
from triptych.schemas.tracing.trace_context import TraceSampler
from triptych.service.cpus import model_threads
from triptych.service.garbage import present_objects_frozen
from triptych.service.health import Health
from triptych.service.memory import memory_limit_bytes, resident_bytes
from triptych.service.signals import ReloadSignal
from triptych.settings.tree import Settings
from triptych.transport.errors import TopicMissingError
from triptych.transport.protocols import GroupConsumer, Publisher, TopicAdmin, TransactionalPublisher, Transport
from triptych.transport.records import OutOfRangePolicy
from triptych.transport.topics import pipeline_topics
from triptych.units import NS_PER_MS
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.inference.batcher import MicroBatcher
from triptych.worker.inference.jobs import WindowJob
from triptych.worker.inference.model_runner import ModelRunner
from triptych.worker.inference.stages import StageLimits, Stages
from triptych.worker.matching.match_history import MatchHistory
from triptych.worker.matching.open_prompts import open_prompts, prompt_head_from, shadow_prompt_head_from
from triptych.worker.media.preparer import Preparer
from triptych.worker.memory_bounds import within_memory
from triptych.worker.observability.hooks import Hook, Hooks
from triptych.worker.overload import Overload, ladder_of
from triptych.worker.partitions.restorer import PartitionRestorer, RestoreSources
from triptych.worker.partitions.topic_watch import TopicWatch
from triptych.worker.pipeline import Pipeline, PipelineInput, PipelineLimits
from triptych.worker.publish_cutoff import PublishCutoff
from triptych.worker.publishing.at_least_once import AtLeastOnceSender
from triptych.worker.publishing.messages import MessageBuilder
from triptych.worker.publishing.publisher import ResultAdditions, ResultPublisher
from triptych.worker.publishing.retry import RetryPolicy
from triptych.worker.publishing.sender import BatchSender
from triptych.worker.publishing.stores.protocol import ResultStore
from triptych.worker.publishing.transactional import TransactionalSender
from triptych.worker.serving.candidate import make_ready
from triptych.worker.serving.files import WatchedFiles, watched_files
from triptych.worker.serving.prompt_shadow import PromptShadow
from triptych.worker.serving.reloader import ModelSlot, Reloader
from triptych.worker.serving.shadow import Shadow

_BATCHES_IN_FLIGHT: Final = 4
_MAX_BATCHES_IN_FLIGHT: Final = 16
_USUAL_WINDOW_NS: Final = 2_000 * NS_PER_MS
"""Shorter windows hold less, so more of them may be in flight, up to `_MAX_BATCHES_IN_FLIGHT`."""
_CLOSE_LIMIT_S: Final = 10.0
_REVOCATION_MARGIN_S: Final = 2.0
"""How much longer than the worker the transport waits for a revocation: the worker's own limit should come first."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The installation that a worker runs in.

    Attributes:
        transport: where records are read from and results are published to.
        store: where results are written after that.
        hooks: receive all events.
        health: the readiness and liveness that the status server reports.
        reload_signal: asks to reload the model. Without it, the model is never replaced.
    """

    transport: Transport
    store: ResultStore
    hooks: Sequence[Hook]
    health: Health
    reload_signal: ReloadSignal | None = None


class Scope(Protocol):
    """Which part of the log a worker reads, and which decisions it publishes."""

    @property
    def when_out_of_range(self) -> OutOfRangePolicy:
        """Where to read on if retention has deleted the next record."""

    def narrow(self, consumer: GroupConsumer) -> tuple[GroupConsumer, PublishCutoff]:
        """Return the consumer to read from, and the cutoff of what is published.

        Raises:
            UsageError: the consumer's group is used for another purpose.
        """


def align_config(settings: Settings) -> AlignConfig:
    """Return the settings of alignment, with times in nanoseconds."""
    align = settings.align
    out_of_orderness_ns: dict[Modality, int] = {
        "video": align.out_of_orderness_video_ms * NS_PER_MS,
        "audio": align.out_of_orderness_audio_ms * NS_PER_MS,
        "subtitles": align.out_of_orderness_subtitles_ms * NS_PER_MS,
    }
    return AlignConfig(
        size_ns=settings.window.size_ns,
        hop_ns=settings.window.hop_ns,
        idle_timeout_ns=align.idle_timeout_ms * NS_PER_MS,
        out_of_orderness_ns=MappingProxyType(out_of_orderness_ns),
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
        pause_ns=align.pause_ms * NS_PER_MS,
        allowed_lateness_ns=align.allowed_lateness_ms * NS_PER_MS if align.late == "revise" else None,
        complete_within_ns=align.complete_within_ms * NS_PER_MS if align.late == "complete" else None,
        revise_after_ns=align.revise_after_ms * NS_PER_MS,
    )


def model_from(settings: Settings) -> Model:
    """Build the model that the settings name. It is not warm yet."""
    choice = ModelChoice(
        name=settings.model.name,
        frames=settings.model.frames_per_window,
        window_ns=settings.window.size_ns,
        device=settings.model.device,
        max_batch=settings.batch.max_windows,
        threads=settings.model.threads or model_threads(),
        encoder_devices=settings.model.encoder_devices,
        compiled=settings.model.compiled,
        runtime=settings.model.runtime,
        precision=settings.model.precision,
        cuda_graphs=settings.model.cuda_graphs,
        foundation=FoundationSources(
            picture_space=settings.model.picture_space,
            sound_space=settings.model.sound_space,
            audio_events=settings.model.audio_events,
            emotion=settings.model.emotion,
            sentiment=settings.model.sentiment,
        ),
        detector=settings.model.detector,
        detector_labels=tuple(label for label in settings.model.detector_labels.split(",") if label.strip()),
        detector_threshold=settings.model.detector_threshold,
        pictures=settings.model.pictures_per_window,
    )
    return build_model(choice)


@contextmanager
def open_pipeline(settings: Settings, dependencies: Dependencies, scope: Scope) -> Iterator[Pipeline]:
    """Build a pipeline with a warm model, and join the group. Close all parts at the end."""
    observers = Hooks(dependencies.hooks)
    files = watched_files(settings.model.name) if dependencies.reload_signal is not None else None
    if files is not None:
        files.mark_loaded()  # before the model is read, so that a change in the meantime is noticed
    runner = _warm_runner(settings, observers)
    settings = within_memory(
        settings,
        limit_bytes=memory_limit_bytes(),
        used_bytes=resident_bytes(),
        partitions=partitions_of(dependencies.transport),
    )
    dependencies.health.set_ready("model_warm", ready=True, reason="")
    with ExitStack() as stack:
        hooks = _with_prompt_shadow(observers, settings, stack)
        publisher = open_publisher(settings, dependencies.transport)
        stack.callback(lambda: publisher.close(_CLOSE_LIMIT_S))
        joined = dependencies.transport.group_consumer(
            INPUT_TOPICS,
            consumer_group(settings.pipeline),
            when_out_of_range=scope.when_out_of_range,
            hand_over_s=settings.kafka.hand_over_limit_ms / 1_000 + _REVOCATION_MARGIN_S,
        )
        stack.callback(joined.close)
        admin = dependencies.transport.admin()
        stack.callback(admin.close)
        topics = _watch_topics(settings, admin, stack)
        detection = runner.spec.detection
        labels = () if detection is None else detection.labels
        prompts = open_prompts(settings, dependencies.transport, stack, labels=labels)
        consumer, cutoff = scope.narrow(joined)
        publication = _result_publisher(
            publisher,
            dependencies.store,
            MessageBuilder(settings.pipeline, topics.ids),
            hooks=hooks,
            is_confirmed=consumer.is_confirmed,
            additions=ResultAdditions(prompts, TraceSampler(settings.trace.effective_ratio)),
        )
        shadow = None if settings.model.shadow is None else Shadow(hooks, share=settings.model.shadow_share)
        stages = _stages(settings, runner, publication, hooks=hooks, shadow=shadow)
        stack.callback(stages.close)
        if shadow is not None:
            stack.callback(shadow.close)
        slots = list(_model_slots(settings, stages, runner, files=files, shadow=shadow))
        if slots:
            reload_signal = dependencies.reload_signal or ReloadSignal()
            watch_s = settings.model.watch_ms / 1_000 or None
            stack.callback(Reloader(slots, reload_signal, watch_s=watch_s, hooks=hooks).close)
        stack.callback(publication.give_up)  # after an error nobody collects what the publish stage still retries
        stack.callback(joined.close)  # closed first, and again above: the group need not wait for stages that still run
        restorer = PartitionRestorer(
            settings.pipeline,
            align_config(settings),
            RestoreSources(dependencies.transport, consumer, topics),
            new_matches=partial(
                MatchHistory, settings.align.stream_ttl_ms * NS_PER_MS, prompts, prompt_head_from(settings)
            ),
            hooks=hooks,
        )
        stack.callback(restorer.close)
        stack.enter_context(present_objects_frozen())  # everything that lasts is built by now
        yield Pipeline(
            PipelineInput(consumer, restorer, topics),
            stages,
            publication,
            limits=_limits(settings),
            hooks=hooks,
            health=dependencies.health,
            cutoff=cutoff,
        )


def _with_prompt_shadow(observers: Hooks, settings: Settings, stack: ExitStack) -> Hooks:
    """Return the hooks with one that compares published results with the shadow head of prompts, if there is one."""
    head = shadow_prompt_head_from(settings)
    if head is None:
        return observers
    shadow = PromptShadow(observers, head)
    stack.callback(shadow.summarise)  # after the stages have ended, which are opened later
    return Hooks([observers.emit, shadow])


def open_publisher(settings: Settings, transport: Transport) -> Publisher | TransactionalPublisher:
    """Open the publisher of results, transactional if the delivery is exactly-once.

    A static member always has the same transactional id, so its next start ends an open transaction at once. Any other
    worker takes a new id at each start. The id does not fence zombies: the generation of the group does.
    """
    if settings.delivery == "at_least_once":
        return transport.publisher()
    return transport.transactional_publisher(f"{settings.pipeline}.{settings.kafka.group_instance_id or uuid4().hex}")


def _result_publisher(
    publisher: Publisher | TransactionalPublisher,
    store: ResultStore,
    messages: MessageBuilder,
    *,
    hooks: Hooks,
    is_confirmed: Callable[[], bool],
    additions: ResultAdditions,
) -> ResultPublisher:
    """Return a result publisher with the sender that fits `publisher`."""
    retry = RetryPolicy(hooks)
    sender: BatchSender
    if isinstance(publisher, Publisher):
        sender = AtLeastOnceSender(publisher, messages, retry, hooks)
    else:
        sender = TransactionalSender(publisher, messages, retry, hooks, is_confirmed=is_confirmed)
    return ResultPublisher(
        sender,
        store,
        messages,
        retry=retry,
        hooks=hooks,
        is_confirmed=is_confirmed,
        additions=additions,
    )


def partitions_of(transport: Transport) -> int:
    """Return the number of partitions of the input topics, which is the same for all topics of a pipeline.

    Raises:
        TopicMissingError: there is no video topic.
    """
    admin = transport.admin()
    try:
        count = admin.partition_count(VIDEO_TOPIC)
    finally:
        admin.close()
    if count is None:
        raise TopicMissingError(f"{VIDEO_TOPIC}: expected a topic, found none; make it with `triptych topics create`")
    return count


def _watch_topics(settings: Settings, admin: TopicAdmin, stack: ExitStack) -> TopicWatch:
    """Start to watch the topics of the pipeline."""
    watch = TopicWatch(partial(admin.identify, pipeline_topics(settings.pipeline)))
    watch.remember([int(count) for count in settings.kafka.earlier_partitions.split(",") if count])
    watch.start()
    stack.callback(watch.close)
    return watch


def _warm_runner(settings: Settings, hooks: Hooks) -> ModelRunner:
    model = model_from(settings)
    model.warm()
    return ModelRunner(model, hooks)


def _limits(settings: Settings) -> PipelineLimits:
    return PipelineLimits(
        commit_interval_ns=settings.worker.commit_interval_ms * NS_PER_MS,
        shutdown_limit_ns=settings.worker.shutdown_limit_ms * NS_PER_MS,
        revocation_limit_ns=settings.kafka.hand_over_limit_ms * NS_PER_MS,
        partition_max_bytes=settings.align.partition_max_bytes,
        dead_letter_late=settings.align.late_letters,
    )


def _model_slots(
    settings: Settings, stages: Stages, runner: ModelRunner, *, files: WatchedFiles | None, shadow: Shadow | None
) -> Iterator[ModelSlot]:
    """Yield the slots whose model may be replaced at runtime. Without files, the main model is not replaced."""
    ready = partial(make_ready, spec=runner.spec, window_ns=settings.window.size_ns)
    if files is not None:
        yield ModelSlot(
            role="model",
            source=settings.model.name,
            files=files,
            build=partial(model_from, settings),
            make_ready=ready,
            info=lambda: runner.info,
            put=lambda model: stages.between_batches(partial(runner.replace, model)).result(),
        )
    if shadow is not None and settings.model.shadow is not None:
        alone = dict.fromkeys(("picture_space", "sound_space", "audio_events", "emotion", "sentiment"), "")
        named = settings.model.model_copy(update={"name": settings.model.shadow, "detector": "off", **alone})
        yield ModelSlot(
            role="shadow",
            source=settings.model.shadow,
            files=watched_files(settings.model.shadow),
            build=partial(model_from, settings.model_copy(update={"model": named})),
            make_ready=ready,
            info=lambda: shadow.info,
            put=shadow.replace,
        )


def _stages(
    settings: Settings, runner: ModelRunner, publication: ResultPublisher, *, hooks: Hooks, shadow: Shadow | None
) -> Stages:
    batcher = MicroBatcher[WindowJob](
        max_windows=settings.batch.max_windows, max_delay_ns=settings.batch.max_delay_ms * NS_PER_MS
    )
    shorter = _USUAL_WINDOW_NS // min(settings.window.size_ns, _USUAL_WINDOW_NS)
    batches = min(_BATCHES_IN_FLIGHT * shorter, _MAX_BATCHES_IN_FLIGHT)
    limits = StageLimits(
        max_windows_in_flight=settings.batch.max_windows * batches,
        room_windows=settings.batch.max_windows,
        prepare_threads=settings.worker.prepare_threads,
    )
    preparer = Preparer(runner.spec, measures_quality=settings.worker.quality)
    pictures = runner.spec.detection.pictures if runner.spec.detection else 0
    ladder = ladder_of(settings.worker.overload, runner.spec.frames, pictures)
    overload = Overload(ladder, limit_ns=settings.worker.overload_limit_ms * NS_PER_MS)
    return Stages(preparer, batcher, runner, publication, limits=limits, overload=overload, hooks=hooks, shadow=shadow)
