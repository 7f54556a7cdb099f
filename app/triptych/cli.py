"""The command `triptych`: collects the sub-commands of all programs, and turns errors into one line and an exit code.

Each sub-command is defined in its program's package, which is imported when the command runs, and imports its
dependencies itself. So `triptych --help` starts quickly and needs no extra.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from triptych.schemas.errors import TriptychError, UsageError
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption
from triptych.service.lazy_commands import LazyCommand, group_of

EXIT_INTERRUPTED = 130
"""The exit code after Ctrl-C, by shell convention: 128 + SIGINT."""

EXTRA_OF_MODULE = {
    "av": "producers",
    "captum": "train",
    "cv2": "producers",
    "dateparser": "ask",
    "httpx2": "describe",
    "huggingface_hub": "foundation",
    "implicit": "recommend",
    "lancedb": "index",
    "numpy": "producers",
    "open_clip": "foundation",
    "pgvector": "postgres",
    "prometheus_client": "producers",
    "psycopg": "postgres",
    "pyarrow": "index",
    "pyoxigraph": "ask",
    "redis": "consumers",
    "safetensors": "worker",
    "simpleeval": "consumers",
    "sse_starlette": "page",
    "starlette": "page",
    "tensorboard": "train",
    "torch": "worker",
    "torchao": "compress",
    "torchaudio": "worker",
    "torchvision": "worker",
    "transformers": "foundation",
    "uvicorn": "page",
    "PIL": "train",
    "matplotlib": "train",
    "scipy": "recommend",
    "sklearn": "train",
}
"""The smallest extra that installs each optional module."""

_WITHOUT_KAFKA = (
    "No Kafka yet? `make kafka` in a checkout starts one on 127.0.0.1:9092. Another one: --bootstrap-servers, or the "
    "setting kafka.bootstrap_servers. `triptych demo` needs no server."
)
_WITHOUT_REDIS = (
    "No Redis yet? `make redis` in a checkout starts one on 127.0.0.1:6379. Another one: --redis-url, or the setting "
    "redis.url. `triptych demo` needs no server."
)
HINTS = (
    ("triptych.transport.errors:BrokerUnavailableError", _WITHOUT_KAFKA),
    ("triptych.consumers.subscription.result_source:SourceUnavailableError", _WITHOUT_REDIS),
)
"""What to do where a server does not answer, by the error as `module:class`."""

_TRAINING = "triptych.training"
"""The container image leaves this package out."""

COMMANDS = (
    LazyCommand(
        "demo",
        "triptych.demo:demo",
        "Play three sample clips as streams, and show their results. Ends by itself, but with --page by Ctrl-C.",
    ),
    LazyCommand(
        "produce",
        "triptych.producers.cli:produce",
        "Play media files and live feeds into Kafka, as streams of video, audio and text.",
    ),
    LazyCommand(
        "work",
        "triptych.worker.cli:work",
        "Align video, audio and subtitles of all streams, run the model on each window, publish the results.",
    ),
    LazyCommand(
        "match",
        "triptych.match:match",
        "Rank the windows of a clip by each text, with the scores of pictures, sounds and words.",
        _TRAINING,
    ),
    LazyCommand(
        "train", "triptych.training.cli:train", "Train a model that `triptych work --model FOLDER` serves.", _TRAINING
    ),
    LazyCommand(
        "evaluate",
        "triptych.training.evaluation.cli:evaluate",
        "Evaluate a trained model: all subsets of modalities, calibration, noise and leaks; writes a report.",
        _TRAINING,
    ),
    LazyCommand(
        "compress",
        "triptych.training.compression.cli:compress",
        "Make a trained model smaller, and print size, score, agreement and speed of each form.",
        _TRAINING,
    ),
    LazyCommand(
        "explain",
        "triptych.explaining.cli:explain",
        "Draw why a model makes its predictions for a clip: shares of modalities, time slices, pixels, audio "
        "and words.",
        _TRAINING,
    ),
    LazyCommand(
        "stamps",
        "triptych.training.content_model.cli:stamps",
        "Build the model `content` that comes with the package from the stamps of Tux Paint, and evaluate it.",
        _TRAINING,
    ),
    LazyCommand(
        "space",
        "triptych.training.semantic_space.cli:space",
        "Build the semantic space that comes with the package from the stamps of Tux Paint, and evaluate it.",
        _TRAINING,
    ),
    LazyCommand(
        "watch",
        "triptych.consumers.cli:watch",
        "Show results as they are published: a table on a terminal, JSON lines otherwise.",
    ),
    LazyCommand(
        "doctor",
        "triptych.consumers.doctor.cli:doctor",
        "Follow a feed from the topics through worker and results to Redis, and say where it stops. Reads only.",
    ),
    LazyCommand(
        "alert",
        "triptych.consumers.cli:alert",
        "Send results that match a rule to webhooks or an MQTT broker: in order, at least once with a stable id.",
    ),
    LazyCommand(
        "describe",
        "triptych.consumers.describing.cli:describe",
        "Let a vision-language model describe results, and publish what it answers on PIPELINE.descriptions.",
    ),
    LazyCommand(
        "page",
        "triptych.consumers.page.cli:page",
        "Show in a browser what the feeds of a pipeline show and say, what matched, and what is wrong. Ctrl-C ends it.",
    ),
    LazyCommand(
        "index",
        "triptych.consumers.searching.cli:index",
        "Keep an index of what was seen, heard, said and described, for `triptych search`.",
    ),
    LazyCommand(
        "search",
        "triptych.consumers.searching.cli:search",
        "Find moments in what `triptych index` has written: by their words, by what is meant, or both.",
    ),
    LazyCommand(
        "ask",
        "triptych.ask:ask",
        "Answer a question about what `triptych index` has written: when, who, how many, what, before, after, ever.",
    ),
    LazyCommand(
        "summarize",
        "triptych.consumers.asking.summarizing.cli:summarize",
        "Write a report of a stream in Markdown, hour by hour: what was seen, heard and said, and what was wrong.",
    ),
    LazyCommand("graph", "triptych.consumers.asking.cli:app", "What an index knows, as a graph."),
    LazyCommand(
        "recommend",
        "triptych.consumers.recommending.cli:recommend",
        "Recommend windows, clips or feeds to a user, with the reasons.",
    ),
    LazyCommand(
        "interact",
        "triptych.consumers.recommending.cli:interact",
        "Say what a user did with a window, clip or feed. The next recommendation knows it.",
    ),
    LazyCommand(
        "recommender",
        "triptych.recommender:recommender",
        "Train the recommender, import data sets, set profiles, delete users.",
    ),
    LazyCommand(
        "export",
        "triptych.consumers.exporting.cli:export",
        "Write the results that exist now to a Parquet file, for DuckDB, pandas and others.",
    ),
    LazyCommand("evidence", "triptych.consumers.cli:evidence", "Fetch the frames, audio and cues behind a result."),
    LazyCommand(
        "diff",
        "triptych.consumers.cli:diff",
        "Compare the results of two pipelines, of each window its last revision. Exit code 1 if they differ.",
    ),
    LazyCommand(
        "trace",
        "triptych.consumers.traces.cli:trace",
        "Print the trace of a window as a tree: when each step began and how long it took.",
    ),
    LazyCommand("rebuild", "triptych.worker.rebuilding.cli:app", "Write again what was lost, from the results topic."),
    LazyCommand(
        "bench",
        "triptych.bench:bench",
        "Measure parts of Triptych, each beside its limit in the same run. Needs a checkout as working folder.",
    ),
    LazyCommand("config", "triptych.cli:config", "Print the settings in effect as TOML, with secrets hidden."),
    LazyCommand(
        "data",
        "triptych.training.data.cli:data",
        "Labelled windows: list and render benchmarks, convert, clean and prepare data sets.",
        _TRAINING,
    ),
    LazyCommand(
        "prompts", "triptych.consumers.prompts.cli:prompts", "What a pipeline looks for in its feeds, in words."
    ),
    LazyCommand(
        "feedback",
        "triptych.consumers.prompts.cli:feedback",
        "Say whether a result fits a prompt. A prompt head learns from it (docs/prompts.md).",
    ),
    LazyCommand(
        "dead", "triptych.consumers.dead.cli:dead", "Show the records that could not be processed, and redrive them."
    ),
    LazyCommand(
        "models", "triptych.models.cli:models", "List models and pretrained weights, download weights, compile a model."
    ),
    LazyCommand(
        "topics", "triptych.transport.cli:app", "Create, check and grow the topics that a pipeline reads and writes."
    ),
)
"""All commands, in the order of the help. A test compares the summaries with the commands' own help."""

HELP = "Analyze live video, audio and subtitles together: one result for every few seconds of each stream."

app = typer.Typer(
    name="triptych",
    cls=group_of(COMMANDS),
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as distribution_version

        typer.echo(f"triptych {distribution_version('triptych')}")
        raise typer.Exit


@app.callback(help=HELP)
def triptych(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Handle the options before the sub-command."""


def config(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Print the settings in effect as TOML, with secrets hidden."""
    from triptych.settings.loading import load, to_toml

    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url, "pipeline": pipeline}
    typer.echo(to_toml(load(config, flags)), nl=False)


def main() -> NoReturn:
    """Run the command line and exit: 0 on success, 2 on a usage error, otherwise the error's own code."""
    # By default LanceDB writes a warning to stderr for each index that is made. Its errors are raised.
    os.environ.setdefault("LANCEDB_LOG", "error")
    try:
        app()
    except TriptychError as error:
        _fail(f"{error}{_hint(error)}", exit_code=error.exit_code)
    except ValueError as error:
        from triptych.settings.section import SettingsError  # imports pydantic, which `--help` does not need

        if not isinstance(error, SettingsError):
            raise
        _fail(str(error), exit_code=UsageError.exit_code)
    except ModuleNotFoundError as error:
        extra = EXTRA_OF_MODULE.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _fail(f'{error.name} is not installed: pip install "triptych[{extra}]"', exit_code=UsageError.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(0)


def _hint(error: TriptychError) -> str:
    """Return what a newcomer without servers can do, as a further sentence; empty where that is not the problem."""
    names = {f"{kind.__module__}:{kind.__qualname__}" for kind in type(error).__mro__}
    return next((f". {hint}" for name, hint in HINTS if name in names), "")


def _fail(message: str, *, exit_code: int) -> NoReturn:
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True)
    console.print("triptych:", style="bold red", end=" ")
    console.print(message, markup=False, highlight=False)
    sys.exit(exit_code)
