"""`triptych models`: get the pretrained weights and list them."""

from __future__ import annotations

from typing import Annotated

import typer

from triptych.schemas.errors import UsageError
from triptych.worker.models.weights import WEIGHT_FILES, WeightFile, cache_folder, is_cached

models = typer.Typer(no_args_is_help=True, help="Pretrained weights: get them, list them.")


@models.command("pull")
def pull_command(
    names: Annotated[list[str] | None, typer.Argument(help="Which weights; all when none is named.")] = None,
) -> None:
    """Download the weights, check them against their pinned checksums and keep them in the cache."""
    from rich.console import Console

    from triptych.worker.models.pull import pull

    console = Console(stderr=True)
    folder = cache_folder()
    for weight in _chosen(names):
        with console.status(weight.name) as status:
            path = pull(weight, folder, lambda step, name=weight.name: status.update(f"{name}: {step}"))  # type: ignore[misc]
        console.print(f"{weight.name} ({weight.licence}): {path}", highlight=False, soft_wrap=True)


@models.command("list")
def list_command() -> None:
    """Show which weights there are, where they come from, and whether they are in the cache."""
    from rich.console import Console
    from rich.table import Table

    folder = cache_folder()
    table = Table(box=None, pad_edge=False, caption=f"cache: {folder}", caption_justify="left")
    for column in ("name", "licence", "comes from", "cached"):
        table.add_column(column, no_wrap=True)
    for weight in WEIGHT_FILES:
        cached = "yes" if is_cached(weight, folder) else "no"
        table.add_row(weight.name, weight.licence, weight.requirement, cached)
    Console().print(table)


def _chosen(names: list[str] | None) -> list[WeightFile]:
    known = {weight.name: weight for weight in WEIGHT_FILES}
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise UsageError(f"no weights are called {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in names or known]
