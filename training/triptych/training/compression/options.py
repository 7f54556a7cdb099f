"""The options of compression, and how the command line shows them. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import typer

from triptych.models.checkpoints.storage import STORAGES, Storage
from triptych.schemas.errors import UsageError

GraphChoice = Literal["off", "export", "aot"]
_GRAPHS: tuple[Literal["export", "aot"], ...] = ("export", "aot")


@dataclass(frozen=True, slots=True)
class CompressionOptions:
    """How to compress a model.

    Attributes:
        share: share of the hidden channels to prune; 0 prunes none.
        steps: fine-tuning steps after pruning, with the original as teacher.
        storage: number format of the weight matrices in the file.
        split: split to measure on.
        examples: maximum number of examples to measure on.
        graph: also measure the network as a graph: `off`; `export`; `aot`, which includes `export`.
    """

    share: Annotated[
        float, typer.Option("--prune", metavar="SHARE", help="Share of the hidden channels to prune; 0 prunes none.")
    ] = 0.3
    steps: Annotated[
        int,
        typer.Option(
            "--fine-tune",
            min=0,
            metavar="STEPS",
            help="Fine-tuning steps after pruning, with the original as teacher.",
        ),
    ] = 100
    storage: Annotated[
        Storage, typer.Option(help="Number format of the file of weights: fp32, fp16, bf16 or int8.")
    ] = "fp16"
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "test"
    examples: Annotated[int, typer.Option(min=1, help="Maximum number of examples to measure on.")] = 512
    graph: Annotated[
        GraphChoice,
        typer.Option(
            "--compile",
            help="Also measure the exported graph (export), or it and the compiled graph (aot, takes minutes).",
        ),
    ] = "off"

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: a value is out of its range.
        """
        if not 0 <= self.share < 1:
            raise UsageError(f"prune: expected at least 0 and less than 1, got {self.share}")
        if self.storage not in STORAGES:
            raise UsageError(f"storage: expected one of {', '.join(STORAGES)}, got {self.storage!r}")
        if self.graph not in get_args(GraphChoice):
            raise UsageError(f"compile: expected one of {', '.join(get_args(GraphChoice))}, got {self.graph!r}")

    @property
    def graphs(self) -> tuple[Literal["export", "aot"], ...]:
        """Return the graph forms to measure."""
        return () if self.graph == "off" else _GRAPHS[: _GRAPHS.index(self.graph) + 1]
