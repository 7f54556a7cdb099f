"""The command `triptych`: collects the sub-commands of all programs, and turns errors into one line and an exit code.

Each sub-command is defined in its program's package and imports its dependencies when it runs. So `triptych --help`
starts quickly and needs no extra.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Annotated, NoReturn

import typer

from triptych.consumers.cli import alert, diff, evidence, watch
from triptych.consumers.dead.cli import dead
from triptych.consumers.doctor.cli import doctor
from triptych.consumers.subscription.result_source import SourceUnavailableError
from triptych.demo import demo
from triptych.match import match
from triptych.models.cli import models
from triptych.producers.cli import produce
from triptych.schemas.errors import TriptychError, UsageError
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption
from triptych.transport.cli import app as topics
from triptych.transport.errors import BrokerUnavailableError
from triptych.worker.cli import work

EXIT_INTERRUPTED = 130
"""The exit code after Ctrl-C, by shell convention: 128 + SIGINT."""

EXTRA_OF_MODULE = {
    "av": "producers",
    "captum": "train",
    "cv2": "producers",
    "numpy": "producers",
    "prometheus_client": "producers",
    "redis": "consumers",
    "safetensors": "worker",
    "simpleeval": "consumers",
    "tensorboard": "train",
    "torch": "worker",
    "torchao": "compress",
    "torchaudio": "worker",
    "torchvision": "worker",
    "PIL": "train",
    "matplotlib": "train",
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
HINTS: tuple[tuple[type[TriptychError], str], ...] = (
    (BrokerUnavailableError, _WITHOUT_KAFKA),
    (SourceUnavailableError, _WITHOUT_REDIS),
)
"""What to do where a server does not answer, by the error."""

HELP = "Analyze live video, audio and subtitles together: one result for every few seconds of each stream."

app = typer.Typer(
    name="triptych",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add_training(app: typer.Typer) -> None:
    """Add the commands of the training program if it is installed. The container image leaves it out."""
    if find_spec("triptych.training") is None:
        return
    from triptych.explaining.cli import explain
    from triptych.training.cli import train
    from triptych.training.compression.cli import compress
    from triptych.training.content_model.cli import stamps
    from triptych.training.data.cli import data
    from triptych.training.evaluation.cli import evaluate
    from triptych.training.semantic_space.cli import space

    for command in (match, train, evaluate, compress, explain, stamps, space):
        app.command()(command)
    app.add_typer(data, name="data")


app.command()(demo)
app.command()(produce)
app.command()(work)
_add_training(app)
app.command()(watch)
app.command()(doctor)
app.command()(alert)
app.command()(evidence)
app.command()(diff)
app.add_typer(dead, name="dead")
app.add_typer(models, name="models")
app.add_typer(topics, name="topics")


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


@app.command()
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
    for kind, hint in HINTS:
        if isinstance(error, kind):
            return f". {hint}"
    return ""


def _fail(message: str, *, exit_code: int) -> NoReturn:
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True)
    console.print("triptych:", style="bold red", end=" ")
    console.print(message, markup=False, highlight=False)
    sys.exit(exit_code)
