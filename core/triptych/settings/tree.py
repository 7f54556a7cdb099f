"""The tree of all settings. A program receives only the sections that it needs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from triptych.settings.http import HttpSettings, ProduceHttpSettings
from triptych.settings.kafka import KafkaSettings
from triptych.settings.redis import RedisSettings
from triptych.settings.section import NotEmpty, NotNegative, Positive, Section
from triptych.units import MIB


class WindowSettings(Section):
    """The spans of event time that are judged."""

    size_ms: Positive = 2_000
    """The length of a window."""

    hop_ms: Positive | None = None
    """From one window's start to the next one's; without it windows follow one another without overlap."""

    @property
    def size_ns(self) -> int:
        """The length in nanoseconds."""
        return self.size_ms * 1_000_000

    @property
    def hop_ns(self) -> int:
        """The distance of two starts in nanoseconds."""
        return (self.hop_ms or self.size_ms) * 1_000_000

    @model_validator(mode="after")
    def _hop_leaves_no_gap(self) -> Self:
        if self.hop_ms is not None and self.hop_ms > self.size_ms:
            raise ValueError(f"hop_ms must be at most size_ms ({self.size_ms}), else records fall between windows")
        return self


class AlignSettings(Section):
    """When a window is complete, and how much may wait for that."""

    idle_timeout_ms: Positive = 10_000
    """Silence, by arrival, after which a track holds no window. It must exceed the steady delay of one track behind
    another: audio that always comes 60 s late needs more than 60 s."""

    out_of_orderness_video_ms: NotNegative = 0
    """How far a frame may come behind its own track's promise. Our producers send each track in order."""

    out_of_orderness_audio_ms: NotNegative = 0
    """The same for sound."""

    out_of_orderness_subtitles_ms: NotNegative = 0
    """The same for cues."""

    max_hold_ms: NotNegative = 10_000
    """How long a picture stands in for windows that have none: a still picture is sent once, but not for ever."""

    max_cue_ms: Positive = 60_000
    """A cue counts as at most this long: one of a day would be in every window of that day."""

    max_empty: Positive = 5
    """Empty windows that one decision publishes in a row; the next result counts those left out. A clock that jumps
    would else publish thousands."""

    max_future_ms: Positive = 24 * 3_600 * 1_000
    """Event time further than this beyond arrival is refused: a wrong clock, not a feed."""

    stream_ttl_ms: Positive = 600_000
    """How long a stream is remembered after its last window."""

    clock_margin_ms: NotNegative = 100
    """By how much the clocks of brokers and worker may differ."""

    stream_max_bytes: Annotated[int, Field(ge=MIB)] = 64 * MIB
    """Undecoded media held of one stream; at the bound its oldest window closes as it is."""

    partition_max_bytes: Annotated[int, Field(ge=MIB)] = 256 * MIB
    """The same for all streams of one partition number together."""

    max_lead_ms: Positive = 30_000
    """By how much of arrival time one topic may be read ahead of the others before it is paused."""

    late: Literal["drop", "revise"] = "drop"
    """What becomes of an item whose window has closed: it is left out, or the window's result is issued again with it,
    as another revision."""

    allowed_lateness_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 60_000
    """With `revise`: how far the end of a closed window may lie behind the next window to close. Its records are held
    for so long, within the same bounds of bytes, and after a restart read again."""

    revise_after_ms: NotNegative = 1_000
    """With `revise`: how long, by arrival, late items are gathered, so that one revision carries them all."""

    late_letters: bool = False
    """Whether late items that no result takes up go to the dead letters, from where they can be put back."""


class BatchSettings(Section):
    """How windows are gathered for the model."""

    max_windows: Annotated[int, Field(gt=0, le=1_024)] = 8
    """The largest batch."""

    max_delay_ms: NotNegative = 50
    """How long a window may wait for others to share its batch."""


class ModelSettings(Section):
    """The model and where it runs."""

    name: NotEmpty = "base"
    """`base` says what is seen and heard; `null` answers at once with nothing, to test the flow; else a trained model:
    one of the package by its name (`triptych models list`), such as `content`, or one by its path: its card, weights,
    or the folder of both."""

    device: NotEmpty = "auto"
    """`auto` takes a GPU where there is one; else a name that PyTorch knows (`cpu`, `cuda:1`)."""

    encoder_devices: str = ""
    """Encoders that run on another device than the rest, as `video=cuda:1,text=cpu`."""

    compiled: Literal["off", "export", "aot"] = "off"
    """As what a trained model runs on a CPU: as it is; as one graph (torch.export); or compiled for this processor
    (AOTInductor), which takes a C++ compiler and, once for each model, minutes. Where that cannot be, as it is."""

    frames_per_window: Annotated[int, Field(gt=0, le=64)] = 4
    """Pictures of a window that the model sees, evenly over its span; the others are never decoded."""

    threads: Positive | None = None
    """Threads of one operation on the CPU; without it PyTorch decides."""

    watch_ms: NotNegative = 2_000
    """How often the files of a trained model are looked at: what changed, and was the same twice, is loaded. 0: only
    SIGHUP loads."""

    shadow: NotEmpty | None = None
    """A second model, named as `name` is, that judges the same windows; the two are compared, nothing is published."""

    shadow_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Of the time, how much the shadow may work at most; the windows that are too many for that go by."""


class WorkerSettings(Section):
    """The worker's own pace."""

    prepare_threads: Annotated[int, Field(gt=0, le=64)] = 2
    """Threads that decode pictures and sound for the model."""

    overload: Literal["wait", "degrade", "skip"] = "wait"
    """What becomes of windows when the worker cannot keep up: they `wait`; `degrade` shows the model fewer pictures of
    each, in the end none; `skip` then publishes without asking it. Results and metrics say what was left out. A job
    that ends by itself (`--until-end`, `--from`) always waits."""

    overload_limit_ms: Annotated[int, Field(ge=100)] = 10_000
    """How late windows may be published before they count as too many. Below half of it more is done again."""

    shutdown_limit_ms: Positive = 20_000
    """How long the worker may finish what is in flight after a first signal; within what Kubernetes allows (30 s)."""

    commit_interval_ms: Positive = 1_000
    """How often finished offsets are committed. A crash reads as much again; nothing is published again."""


class LogSettings(Section):
    """What the programs say of themselves, on stderr."""

    format: Literal["auto", "json", "console"] = "auto"
    """`auto` is `console` on a terminal and `json` otherwise."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe event that is logged."""


class Settings(Section):
    """The whole tree. A program is handed the sections it needs."""

    pipeline: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] = "triptych"
    """Names the consumer group, the topics of results and dead letters, and the prefix of the Redis keys."""

    delivery: Literal["at_least_once", "exactly_once"] = "at_least_once"
    """How results come to their topic. `exactly_once`: in transactions, so that whoever reads only what is committed
    sees each once, whatever dies; what that costs is in docs/delivery.md. `at_least_once` needs no transactions: a
    repeat, which is rare, has the same id, and our subscribers drop it."""

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    window: WindowSettings = WindowSettings()
    align: AlignSettings = AlignSettings()
    batch: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    worker: WorkerSettings = WorkerSettings()
    http: HttpSettings = HttpSettings()
    produce_http: ProduceHttpSettings = ProduceHttpSettings()
    log: LogSettings = LogSettings()

    def that_waits(self) -> Settings:
        """Return the same settings for a job that ends by itself: it leaves nothing out, however long it takes."""
        return self.model_copy(update={"worker": self.worker.model_copy(update={"overload": "wait"})})
