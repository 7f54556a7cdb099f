"""The group `triptych recommender`: commands of the consumers, and of the training where it is installed."""

from __future__ import annotations

from typing import Final

import typer

from triptych.service.lazy_commands import LazyCommand, group_of

_TRAINING: Final = "triptych.training"

_COMMANDS: Final = (
    LazyCommand(
        "profile",
        "triptych.consumers.recommending.cli:profile",
        "Say in words what a user likes. It replaces what was said before.",
    ),
    LazyCommand(
        "train",
        "triptych.training.recommending.cli:train",
        "Train the recommender with all interactions of a pipeline. `triptych recommend` uses it from then on.",
        _TRAINING,
    ),
    LazyCommand(
        "import",
        "triptych.training.recommending.cli:import_",
        "Publish the interactions of a public data set as those of clips, with the titles of its items.",
        _TRAINING,
    ),
    LazyCommand(
        "forget", "triptych.consumers.recommending.cli:forget", "Delete everything that is stored about a user."
    ),
)

recommender = typer.Typer(
    cls=group_of(_COMMANDS),
    help="Train the recommender, import data sets, set profiles, delete users.",
    no_args_is_help=True,
    add_completion=False,
)


@recommender.callback()
def _group() -> None:
    """Train the recommender, import data sets, set profiles, delete users."""
