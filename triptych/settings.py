"""Every setting of the programs: one frozen tree, read once from flags, environment, file and defaults.

A flag wins over a variable (`TRIPTYCH_<SECTION>_<FIELD>`), a variable over the TOML file (`--config`, or the variable
`TRIPTYCH_CONFIG`), the file over the default here. A name that is not known is refused wherever it stands: a slip of
the pen must not quietly mean the default. This module imports nothing of ours, so that anyone may import it, and no
other module reads the environment for a setting.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

PREFIX = "TRIPTYCH_"
CONFIG_VARIABLE = "TRIPTYCH_CONFIG"
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "TRIPTYCH_CACHE", "TRIPTYCH_REQUIRE_SERVERS"})
"""Variables with our prefix that are no settings: the file, the folder of the weights, and a switch of the tests."""

SECRET_PATHS = frozenset({"redis.url", "kafka.password", "http.token", "produce_http.token"})
"""Settings that are or may hold a secret, never shown as they are."""

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
NotEmpty = Annotated[str, Field(min_length=1)]

MIB = 1024 * 1024


class SettingsError(ValueError):
    """Settings that cannot be used; one line for each thing that is wrong, and where it came from."""


class Section(BaseModel):
    """Common to all sections: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    """The broker, and how much is asked of it."""

    bootstrap_servers: NotEmpty = "127.0.0.1:9092"
    """Where to find the brokers: `host:port`, several parted by commas."""

    session_timeout_ms: Annotated[int, Field(ge=6_000, le=1_800_000)] = 45_000
    """How long a worker that does not answer keeps its partitions. Long enough for a pause in which Python cannot
    answer; a crash costs as much. The lower bound is the broker's own."""

    max_poll_interval_ms: Annotated[int, Field(ge=6_000)] = 120_000
    """How long a worker's loop may stand still before the group goes on without it, and how long the group waits for a
    worker that gives up partitions. The loop does not wait for the model, however slow that is."""

    hand_over_limit_ms: NotNegative = 20_000
    """How long a worker that has to give up partitions may finish and publish what is in flight of them. What takes
    longer is left to the next owner, who does it again."""

    group_instance_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] | None = None
    """A name of this worker alone, which it keeps from one start to the next: back within the session time-out, it goes
    on with its partitions and nobody else is disturbed. All workers of a pipeline have one, or none has."""

    max_record_bytes: Annotated[int, Field(ge=1_024, le=1_000_000_000)] = 8 * MIB
    """The largest record, key and headers included: a 4K picture as JPEG fits. Topics are made with the same limit."""

    offset_gone: Literal["earliest", "latest", "stop"] = "earliest"
    """What to do when retention has deleted the record at a committed offset: go on with the oldest that is left, go
    on with what comes, or stop. It is counted and logged in any case."""

    transaction_timeout_ms: Annotated[int, Field(ge=5_000, le=900_000)] = 15_000
    """How long a transaction may take; with `delivery = "exactly_once"` only. The broker ends one that took longer, for
    instance of a worker that died; until then nobody reads what lies behind it. The upper bound is the broker's own."""

    publisher_max_in_flight_bytes: Annotated[int, Field(ge=MIB)] = 64 * MIB
    """What a program may hold that the broker has not acknowledged. The client itself knows no bound, so a broker that
    is away would fill the memory."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Whether connections are encrypted (`SSL`) and whether we log in (`SASL`), in Kafka's own words."""

    ssl_ca_file: Path | None = None
    """The authorities whose certificates we trust (PEM); without it the system's own."""

    ssl_cert_file: Path | None = None
    """Our own certificate (PEM), where the broker asks for one."""

    ssl_key_file: Path | None = None
    """The key of that certificate (PEM, not encrypted)."""

    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    """How to log in. PLAIN shows the broker the password, the SCRAMs do not."""

    username: NotEmpty | None = None
    """Who we are, for PLAIN and SCRAM."""

    password: SecretStr | None = None
    """The password of `username`; never shown. Other programs of the machine may read a variable: prefer the file."""

    password_file: Path | None = None
    """A file with that password instead, read again for each connection."""

    oauth_token_file: Path | None = None
    """A file with the token for OAUTHBEARER, read again for each connection: somebody else renews it there."""

    oauth_token_command: NotEmpty | None = None
    """A command that prints the token instead, run for each connection, without a shell. It should answer at once."""

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if self.security_protocol.startswith("SASL") != (self.sasl_mechanism is not None):
            raise ValueError(
                f"sasl_mechanism and a security_protocol with SASL need one another, got {self.sasl_mechanism} "
                f"with {self.security_protocol}"
            )
        passwords = (self.password is not None) + (self.password_file is not None)
        tokens = (self.oauth_token_file is not None) + (self.oauth_token_command is not None)
        by_token = self.sasl_mechanism == "OAUTHBEARER"
        if by_token and tokens != 1:
            raise ValueError("a login by OAUTHBEARER needs one of oauth_token_file and oauth_token_command")
        if self.sasl_mechanism and not by_token and (self.username is None or passwords != 1):
            raise ValueError(
                f"a login by {self.sasl_mechanism} needs username, and password or password_file, one of them"
            )
        return self

    @model_validator(mode="after")
    def _certificate_is_whole(self) -> Self:
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_cert_file and ssl_key_file need one another")
        return self

    @model_validator(mode="after")
    def _group_waits_for_a_hand_over(self) -> Self:
        longest_ms = self.max_poll_interval_ms - 5_000
        if self.hand_over_limit_ms > longest_ms:
            raise ValueError(
                f"hand_over_limit_ms must be at most {longest_ms}, 5 s below max_poll_interval_ms, "
                f"else the group goes on without the worker that hands over; got {self.hand_over_limit_ms}"
            )
        return self


class RedisSettings(Section):
    """The store that subscribers read."""

    url: Annotated[str, Field(pattern=r"^((redis|rediss)(\+sentinel|\+cluster)?|unix)://.+")] = (
        "redis://127.0.0.1:6379/0"
    )
    """Where to find the server; a password in it is never shown. With TLS `rediss://`; by Sentinels
    `redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DB`; a cluster `redis+cluster://HOST:PORT,HOST:PORT`."""

    password_file: Path | None = None
    """A file with the password of the URL's user, instead of one in the URL; read when a program starts."""

    sentinel_username: NotEmpty | None = None
    """Who we are to the Sentinels, where they have users of their own."""

    sentinel_password_file: Path | None = None
    """A file with the Sentinels' password; they do not take the server's."""

    ssl_ca_file: Path | None = None
    """The authorities whose certificates we trust (PEM) with `rediss`; without it the system's own."""

    ssl_cert_file: Path | None = None
    """Our own certificate (PEM), where the server asks for one."""

    ssl_key_file: Path | None = None
    """The key of that certificate (PEM, not encrypted)."""

    results_maxlen: Positive = 10_000
    """Results kept of each feed, about (Redis trims whole nodes). Ten thousand windows of 2 s are over five hours."""

    latest_ttl_s: Positive = 3_600
    """How long the newest result of a feed that fell silent still counts as its latest."""

    key_ttl_s: Positive = 7 * 24 * 3_600
    """How long a feed's keys outlive its last result: as long as Kafka keeps its records by default, so that a repeat
    from the log is still recognised."""

    def full_url(self) -> str:
        """Return the URL with what the other settings add to it: all that a client needs. It holds the password.

        Raises:
            SettingsError: A password's file cannot be read.
        """
        added = {
            "ssl_ca_certs": self.ssl_ca_file,
            "ssl_certfile": self.ssl_cert_file,
            "ssl_keyfile": self.ssl_key_file,
            "sentinel_username": self.sentinel_username,
            "sentinel_password": None
            if self.sentinel_password_file is None
            else secret_of(self.sentinel_password_file, "redis.sentinel_password_file"),
        }
        query = urlencode({name: str(value) for name, value in added.items() if value is not None}, quote_via=quote)
        url = urlsplit(self.url)
        netloc = url.netloc
        if self.password_file is not None:
            user, _, hosts = netloc.rpartition("@")
            netloc = f"{user}:{quote(secret_of(self.password_file, 'redis.password_file'), safe='')}@{hosts}"
        return urlunsplit(url._replace(netloc=netloc, query="&".join(filter(None, (url.query, query)))))

    @model_validator(mode="after")
    def _access_is_whole(self) -> Self:
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_cert_file and ssl_key_file need one another")
        if self.ssl_ca_file is not None and not self.url.startswith("rediss"):
            raise ValueError("ssl_ca_file needs a url that begins with rediss: nothing is encrypted without")
        if self.sentinel_username is not None and self.sentinel_password_file is None:
            raise ValueError("sentinel_username needs sentinel_password_file")
        if self.sentinel_password_file is not None and "+sentinel://" not in self.url:
            raise ValueError("sentinel_password_file needs a url that begins with redis+sentinel or rediss+sentinel")
        if self.password_file is not None and urlsplit(self.url).password is not None:
            raise ValueError("password_file and a password in the url exclude one another")
        return self


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


class HttpSettings(Section):
    """The worker's `/metrics`, `/healthz` and `/readyz`."""

    section: ClassVar[str] = "http"

    host: NotEmpty = "127.0.0.1"
    """The address to listen on; `0.0.0.0` inside a container."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 9_464
    """The port to listen on; 0 does not listen at all."""

    token: SecretStr | None = None
    """What a request must carry as `Authorization: Bearer TOKEN`; without it all who reach the port are answered.
    It travels as it is: put TLS in front where others listen."""

    token_file: Path | None = None
    """A file with that token instead, read when the program starts."""

    def bearer_token(self) -> str | None:
        """Return the token that requests must carry, if any.

        Raises:
            SettingsError: Its file cannot be read.
        """
        if self.token_file is not None:
            return secret_of(self.token_file, f"{self.section}.token_file")
        return None if self.token is None else self.token.get_secret_value()

    @model_validator(mode="after")
    def _one_token_that_fits_a_header(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("token and token_file exclude one another")
        token = self.token.get_secret_value() if self.token is not None else "none"
        if not (token and token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("token must be of visible ASCII characters")
        return self


class ProduceHttpSettings(HttpSettings):
    """The same of `triptych produce`, apart so that both programs of a machine may read one file."""

    section: ClassVar[str] = "produce_http"

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """The port to listen on; 0 does not listen at all: several films may be played at once. 9465 is a good one."""


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


def load(
    config: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings.

    Args:
        config: The TOML file; without it the one that `TRIPTYCH_CONFIG` names, if any.
        overrides: Flags by dotted path (`kafka.bootstrap_servers`); one that is None was not given.
        environ: The environment; the process's own if not given.

    Raises:
        SettingsError: A name is not known, a value is not allowed, or the file cannot be read.
    """
    environ = os.environ if environ is None else environ
    if config is None and environ.get(CONFIG_VARIABLE):
        config = Path(environ[CONFIG_VARIABLE])
    values: dict[str, tuple[object, str]] = {}  # dotted path -> value and where it came from
    problems: list[str] = []
    for path, value, origin in (*_from_file(config), *_from_environment(environ), *_from_flags(overrides or {})):
        if path in _PATHS:
            values[path] = (value, origin)
        else:
            problems.append(f"{origin}: no such setting{_nearest(path, origin)}")
    try:
        settings = Settings.model_validate(_tree({path: value for path, (value, _) in values.items()}))
    except ValidationError as error:
        problems += _explained(error, {path: origin for path, (_, origin) in values.items()})
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def to_toml(settings: Settings) -> str:
    """Write the settings as a TOML file that `load` reads, but for secrets, which are hidden."""
    lines: list[str] = []
    for name, value in settings:
        if not isinstance(value, Section):
            lines.append(_toml_line(name, name, value))
            continue
        lines += ["", f"[{name}]", *(_toml_line(field, f"{name}.{field}", inner) for field, inner in value)]
    return "\n".join(lines) + "\n"


def without_password(url: str) -> str:
    """Return the URL with its password replaced by stars, wherever redis-py takes one."""
    password = urlsplit(url).password
    url = re.sub(r"([?&]\w*password=)[^&]*", r"\1***", url)
    return url if password is None else url.replace(f":{password}@", ":***@", 1)


def secret_of(path: Path, setting: str) -> str:
    """Return the secret that a file holds, without the line's end.

    Raises:
        SettingsError: There is none.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{setting}: expected a file that can be read, got: {error}") from error
    if not secret:
        raise SettingsError(f"{setting}: expected a secret in {path}, got an empty file")
    return secret


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _paths(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


_PATHS = frozenset(_paths(Settings))
_SECTIONS = frozenset(path.partition(".")[0] for path in _PATHS if "." in path)
_VARIABLES = {PREFIX + path.replace(".", "_").upper(): path for path in _PATHS}


def _from_file(config: Path | None) -> Iterator[tuple[str, object, str]]:
    if config is None:
        return
    try:
        tree = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{config}: expected a readable TOML file, got: {error}") from error
    for name, value in tree.items():
        if isinstance(value, dict) and name in _SECTIONS:
            yield from ((f"{name}.{field}", inner, f"{config}: {name}.{field}") for field, inner in value.items())
        else:
            yield name, value, f"{config}: {name}"


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    for variable, value in sorted(environ.items()):
        if variable.startswith(PREFIX) and variable not in OTHER_VARIABLES:
            yield _VARIABLES.get(variable, variable), value, variable


def _from_flags(overrides: Mapping[str, object]) -> Iterator[tuple[str, object, str]]:
    for path, value in overrides.items():
        if path not in _PATHS:
            raise KeyError(path)  # the programmer's mistake, not the user's
        if value is not None:
            yield path, value, f"the flag for {path}"


def _nearest(path: str, origin: str) -> str:
    known = _VARIABLES if path == origin else _PATHS | _SECTIONS
    close = difflib.get_close_matches(path, known, n=1)
    return f"; did you mean {close[0]}?" if close else "; `triptych config` prints all there are"


def _tree(values: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for path, value in values.items():
        section, _, field = path.rpartition(".")
        if section:
            inner = tree.setdefault(section, {})
            assert isinstance(inner, dict)  # noqa: S101 - no section has the name of a field: both are our own
            inner[field] = value
        else:
            tree[field] = value
    return tree


def _explained(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        came = "" if path in SECRET_PATHS or problem["type"] == "value_error" else f", got {problem['input']!r}"
        origin = origins.get(path) or ", ".join(o for p, o in origins.items() if p.startswith(f"{path}."))
        yield f"{origin}: {what[:1].lower()}{what[1:]}{came}"


def _toml_line(name: str, path: str, value: object) -> str:
    if value is None:
        return f"# {name} is not set"
    if isinstance(value, SecretStr):
        return f"# {name} is set, and not shown"
    if path in SECRET_PATHS:
        value = without_password(str(value))
    if isinstance(value, Path):
        value = str(value)
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"
