"""The tree of all settings.

The text below each setting is its documentation: what it does, its unit and when to change it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from triptych.settings.describe import DescribeHttpSettings, DescribeSettings
from triptych.settings.http import HttpSettings, PageHttpSettings, ProduceHttpSettings
from triptych.settings.index import IndexSettings
from triptych.settings.kafka import KafkaSettings
from triptych.settings.mqtt import MqttSettings
from triptych.settings.page import PageSettings
from triptych.settings.produce import ProduceSettings
from triptych.settings.recommend import RecommendSettings
from triptych.settings.redis import RedisSettings
from triptych.settings.section import NotEmpty, NotNegative, Positive, Section
from triptych.settings.trace import TraceSettings
from triptych.units import MIB, NS_PER_MS


class WindowSettings(Section):
    """The windows of event time that are analysed."""

    size_ms: Positive = 2_000
    """Length of a window in milliseconds."""

    hop_ms: Positive | None = None
    """Interval in milliseconds between the starts of two windows, at most `size_ms`. By default equal to `size_ms`:
    tumbling windows. A smaller value makes overlapping (hopping) windows, and proportionally more work."""

    @property
    def size_ns(self) -> int:
        """Length of a window in nanoseconds."""
        return self.size_ms * NS_PER_MS

    @property
    def hop_ns(self) -> int:
        """Interval between the starts of two windows in nanoseconds."""
        return (self.hop_ms or self.size_ms) * NS_PER_MS

    @model_validator(mode="after")
    def _check_hop(self) -> Self:
        if self.hop_ms is not None and self.hop_ms > self.size_ms:
            raise ValueError(f"hop_ms must be at most size_ms ({self.size_ms}), or records fall between windows")
        return self


class AlignSettings(Section):
    """Alignment: when a window is complete, and how much may be buffered until then."""

    idle_timeout_ms: Positive = 10_000
    """Time in milliseconds, by arrival, after which a track that brings nothing while its stream is heard is idle and
    no longer holds windows open. After as long without any record of the stream, the windows that were begun close. It
    must exceed the constant delay of one track behind another: if audio always arrives 60 s late, set more than
    60 s. A larger value delays the results of streams whose track stops without an end."""

    pause_ms: Positive = 2_500
    """Maximum number of milliseconds for which a silence of a whole stream counts towards the idleness of its tracks.
    So an outage makes no track idle, and after it each has `idle_timeout_ms` less this time to bring what was held
    back."""

    out_of_orderness_video_ms: NotNegative = 0
    """Out-of-orderness allowed for frames: how many milliseconds a frame may lie behind the watermark of its track.
    Triptych's producers send each track in order; increase it for other producers. Every result is delayed by it."""

    out_of_orderness_audio_ms: NotNegative = 0
    """Out-of-orderness allowed for audio chunks, in milliseconds."""

    out_of_orderness_subtitles_ms: NotNegative = 0
    """Out-of-orderness allowed for cues, in milliseconds."""

    max_hold_ms: NotNegative = 10_000
    """Time in milliseconds for which the last frame represents windows without one. Increase it for sources that send
    a still image only once."""

    max_cue_ms: Positive = 60_000
    """Maximum duration of a cue in milliseconds. A longer cue is treated as if it ended then, so that a faulty one does
    not appear in every window of a day."""

    max_empty: Positive = 5
    """Maximum number of consecutive empty windows to publish. The next result counts the skipped ones. Without a limit
    a clock that jumps would publish thousands of empty windows."""

    max_future_ms: Positive = 24 * 3_600 * 1_000
    """Maximum number of milliseconds by which event time may exceed arrival time. A record beyond it has a wrong clock
    and is dead-lettered."""

    stream_ttl_ms: Positive = 600_000
    """Time in milliseconds, by arrival, after the last closed window of a stream until its state is dropped. Records
    that arrive later start the stream anew."""

    clock_margin_ms: NotNegative = 100
    """Maximum difference in milliseconds between the clocks of brokers and worker. Results that depend on the passing
    of time are delayed by it."""

    stream_max_bytes: Annotated[int, Field(ge=MIB)] = 64 * MIB
    """Maximum number of bytes of encoded media to buffer for one stream. At the limit its oldest window closes, even
    if it is incomplete. Increase it for high bit rates or long delays between tracks."""

    partition_max_bytes: Annotated[int, Field(ge=MIB)] = 256 * MIB
    """Maximum number of bytes of encoded media to buffer for all streams of one partition. It determines the memory of
    a worker."""

    max_lead_ms: Positive = 30_000
    """Maximum number of milliseconds, by arrival, that one topic may be read ahead of the others before it is
    paused."""

    late: Literal["drop", "complete", "revise"] = "complete"
    """What to do with an item whose windows have closed: `drop` leaves it out, `revise` publishes the window again with
    the item, as a new revision, and `complete` does so only for a window that closed without waiting for a track
    (`closed_by` quiet, idle or bound)."""

    complete_within_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 600_000
    """With `late = "complete"`: how many milliseconds of event time the end of a window that closed without waiting may
    lie behind the next window to close. The records of these windows stay in memory, within the same byte limits, and
    are read again after a restart. All other windows cost nothing."""

    allowed_lateness_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 60_000
    """Allowed lateness with `late = "revise"`: how many milliseconds of event time the end of a closed window may lie
    behind the next window to close. The records of these windows stay in memory, within the same byte limits, and are
    read again after a restart."""

    revise_after_ms: NotNegative = 1_000
    """Time in milliseconds, by arrival, for which late items are collected, so that one revision contains them all."""

    late_letters: bool = False
    """Whether late items that no result contains are published on the dead-letter topic, from where they can be put
    back."""


class BatchSettings(Section):
    """Batching of windows for the model."""

    max_windows: Annotated[int, Field(gt=0, le=1_024)] = 8
    """Maximum number of windows in a batch. Larger batches increase throughput on a GPU, and memory."""

    max_delay_ms: NotNegative = 50
    """Maximum time in milliseconds that a window waits for others to fill its batch."""


class ModelSettings(Section):
    """The model, and the device that it runs on."""

    name: NotEmpty = "base"
    """Model to run. `base` describes what is seen and heard. `null` returns nothing at once, to test a pipeline. Any
    other value is a trained model: the name of one in the package (`triptych models list`), such as `content`, or the
    path of its card, its weights or the folder with both."""

    device: NotEmpty = "auto"
    """Device to run on: a PyTorch device such as `cpu` or `cuda:1`, or `auto` for a GPU if there is one."""

    encoder_devices: str = ""
    """Encoders that run on another device than the rest of the model, such as `video=cuda:1,text=cpu`."""

    compiled: Literal["off", "export", "aot"] = "off"
    """How to run a trained model on a CPU: `off` runs it eagerly, `export` as one graph (torch.export), `aot` compiled
    for this processor (AOTInductor). `aot` needs a C++ compiler and takes minutes, once for each model. A model that
    cannot be compiled runs eagerly."""

    runtime: Literal["auto", "torch", "openvino", "onnxruntime"] = "auto"
    """What runs frozen networks, such as the encoder of frames, on a CPU. `auto` is the fastest at the start of those
    that are installed: OpenVINO (triptych[cpu]), which takes about half as long as PyTorch for the same results, ONNX
    Runtime (triptych[onnx]) and PyTorch. The first two are compared with PyTorch at the start, and not used if they
    differ."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of frozen networks in OpenVINO. `bfloat16` halves the time again on processors that have it, and
    changes results slightly: labels of 4 in 100 pictures, embeddings with a cosine of 0.994."""

    cuda_graphs: bool = False
    """Run frozen networks on a GPU as CUDA graphs, recorded at the start for each batch size. It saves the time of
    launching each operation, and takes GPU memory. A network that cannot be recorded, or differs, runs as without."""

    frames_per_window: Annotated[int, Field(gt=0, le=64)] = 4
    """Number of frames per window that the model sees, evenly spaced. Other frames are never decoded."""

    detector: NotEmpty = "auto"
    """What finds objects in pictures beside the model, for `detections` and `counts` (docs/detections.md): `auto` finds
    faces and everyday objects, `off` nothing, and a source such as `hf:ID@REVISION` is a foundation model
    (docs/foundation-models.md). Beside the model `null`, only a foundation model runs."""

    detector_labels: str = ""
    """What a detector of an open vocabulary finds, separated by commas: `person, fire truck`."""

    detector_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Lowest score of a detection of a foundation model. Default: that of its library."""

    pictures_per_window: Annotated[int, Field(ge=0, le=4)] = 1
    """Number of pictures per window in which objects are detected, evenly spaced. More count better and follow moving
    objects better; each costs nearly as much as the model `base` on a window. 0 is the same as `detector = "off"`."""

    threads: Positive | None = None
    """Number of CPU threads for one operation of PyTorch. Default: half of the CPUs that the process may use, by its
    affinity and the quota of its container, unless `OMP_NUM_THREADS` or `MKL_NUM_THREADS` is set."""

    picture_space: str = ""
    """Foundation model of pictures and texts, such as SigLIP 2, for `vectors` of the results: `hf:ID@REVISION`,
    `open_clip:NAME/TAG` or `folder:PATH`. Its files must be on this machine (`triptych models pull`), and the extra
    `foundation` installed (docs/foundation-models.md). So for the settings below."""

    sound_space: str = ""
    """Foundation model of sounds and texts, such as CLAP, for `sound_vectors`."""

    audio_events: str = ""
    """Foundation model that names sounds, such as the Audio Spectrogram Transformer, for `sound`."""

    emotion: str = ""
    """Foundation model that classifies the emotion of speech, such as wav2vec2, as the head `speech_emotion`."""

    sentiment: str = ""
    """Foundation model that classifies the sentiment of words, such as XLM-R, as the head `text_sentiment`."""

    watch_ms: NotNegative = 2_000
    """Interval in milliseconds between checks of the files of a trained model. A model is loaded when its files have
    changed and two checks found the same files. 0 disables the checks; SIGHUP still loads the model."""

    shadow: NotEmpty | None = None
    """A second model, named as in `name`, that runs on the same windows. Its predictions are compared with those of the
    first and never published. Set it to try a model on live data."""

    shadow_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Maximum share of the time that the shadow may run. It skips the windows that exceed it."""


class PromptSettings(Section):
    """Prompts: what the worker looks for, in words (docs/prompts.md)."""

    delay_ms: NotNegative = 5_000
    """Time in milliseconds, by arrival, after which a change of the prompts takes effect. All workers of a pipeline
    need the same value, and a replay too, for equal results. Within it a worker must have read the change; while it
    cannot, it does not publish."""

    pipeline: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$")] = ""
    """Name of the pipeline whose prompts are used. By default that of the worker, and with `--from` that of the live
    worker."""

    head: str = ""
    """File with the weights of the prompts' evidence that `triptych train --from-feedback` wrote. By default every
    source counts once."""

    shadow_head: str = ""
    """A second such file. Its scores are compared with those of the first and never published (docs/prompts.md)."""


class WorkerSettings(Section):
    """Threads, overload, shutdown and commits of the worker."""

    prepare_threads: Annotated[int, Field(gt=0, le=64)] = 2
    """Number of threads that decode frames and audio for the model."""

    quality: bool = True
    """Whether to measure the technical quality of each window: black, frozen and blurred pictures, a camera that was
    moved, silence and clipping (docs/quality.md)."""

    overload: Literal["wait", "degrade", "skip"] = "wait"
    """What to do when the worker cannot keep up. `wait` delays results. `degrade` shows the model fewer frames of each
    window, and none in the end. `skip` does the same, and after that publishes without running the model. Results and
    metrics tell what was left out. A run that ends by itself (`--until-end`, `--from`) always waits."""

    overload_limit_ms: Annotated[int, Field(ge=100)] = 10_000
    """Delay of publication in milliseconds at which `degrade` and `skip` reduce the work per window. Below half of it
    they restore the work."""

    shutdown_limit_ms: Positive = 20_000
    """Time in milliseconds that the worker may spend to finish the work in flight after the first signal. Keep it below
    the termination grace period of Kubernetes, 30 s by default."""

    commit_interval_ms: Positive = 1_000
    """Interval in milliseconds between commits of finished offsets. After a crash the records of one interval are read
    again; their results are not published again."""


class LogSettings(Section):
    """Logs of all programs, on stderr."""

    format: Literal["auto", "json", "console"] = "auto"
    """Format of log lines. `auto` is `console` on a terminal and `json` otherwise."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum severity to log."""


class Settings(Section):
    """All settings. A program receives only the sections that it needs."""

    pipeline: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] = "triptych"
    """Name of the pipeline: of its consumer group, its topics of results and dead letters, and the prefix of its Redis
    keys."""

    delivery: Literal["at_least_once", "exactly_once"] = "at_least_once"
    """Delivery guarantee of the results topic. `exactly_once` uses transactions: a consumer of committed records reads
    each result once, even after crashes, at a cost in latency (docs/delivery.md). `at_least_once` may publish a result
    twice after a crash; both have the same id, and Triptych's subscribers drop the second."""

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    window: WindowSettings = WindowSettings()
    align: AlignSettings = AlignSettings()
    batch: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    prompts: PromptSettings = PromptSettings()
    worker: WorkerSettings = WorkerSettings()
    http: HttpSettings = HttpSettings()
    produce: ProduceSettings = ProduceSettings()
    produce_http: ProduceHttpSettings = ProduceHttpSettings()
    describe: DescribeSettings = DescribeSettings()
    describe_http: DescribeHttpSettings = DescribeHttpSettings()
    index: IndexSettings = IndexSettings()
    page: PageSettings = PageSettings()
    page_http: PageHttpSettings = PageHttpSettings()
    mqtt: MqttSettings = MqttSettings()
    recommend: RecommendSettings = RecommendSettings()
    log: LogSettings = LogSettings()
    trace: TraceSettings = TraceSettings()

    def without_load_shedding(self) -> Settings:
        """Return a copy for a run that ends by itself: it waits under overload instead of leaving anything out."""
        return self.model_copy(update={"worker": self.worker.model_copy(update={"overload": "wait"})})
