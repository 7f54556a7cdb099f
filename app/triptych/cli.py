"""The command `triptych`: collects the sub-commands of all programs, and turns errors into one line and an exit code.

Each sub-command is defined with its program and imports heavy modules when it runs, so that `triptych --help` is quick
and needs no extra.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from triptych.consumers.cli import alert, diff, evidence, watch
from triptych.consumers.dead.cli import dead
from triptych.demo import demo
from triptych.models.cli import models
from triptych.producers.cli import produce
from triptych.schemas.errors import TriptychError, UsageError
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption
from triptych.settings.loading import load, to_toml
from triptych.settings.section import SettingsError
from triptych.transport.cli import app as topics
from triptych.worker.cli import work

EXIT_INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended, by convention of shells: 128 + SIGINT."""

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
"""The smallest extra that installs a module."""

app = typer.Typer(
    name="triptych",
    help="Streaming multimodal analytics of many live feeds over Kafka.",
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

    for command in (train, evaluate, compress, explain, stamps):
        app.command()(command)
    app.add_typer(data, name="data")


app.command()(demo)
app.command()(produce)
app.command()(work)
_add_training(app)
app.command()(watch)
app.command()(alert)
app.command()(evidence)
app.command()(diff)
app.add_typer(dead, name="dead")
app.add_typer(models, name="models")
app.add_typer(topics, name="topics")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"triptych {distribution_version('triptych')}")
        raise typer.Exit


@app.callback()
def triptych(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Streaming multimodal analytics of many live feeds over Kafka."""


@app.command()
def config(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Print the settings in effect as TOML, secrets hidden."""
    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url, "pipeline": pipeline}
    typer.echo(to_toml(load(config, flags)), nl=False)


def main() -> NoReturn:
    """Run the command line and exit: 0 for success, 2 for a user's mistake, else the error's own code."""
    try:
        app()
    except (TriptychError, SettingsError) as error:
        _fail(str(error), exit_code=error.exit_code if isinstance(error, TriptychError) else UsageError.exit_code)
    except ModuleNotFoundError as error:
        extra = EXTRA_OF_MODULE.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _fail(f'{error.name} is not installed: pip install "triptych[{extra}]"', exit_code=UsageError.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(0)


def _fail(message: str, *, exit_code: int) -> NoReturn:
    console = Console(stderr=True, soft_wrap=True)
    console.print("triptych:", style="bold red", end=" ")
    console.print(message, markup=False, highlight=False)
    sys.exit(exit_code)
