"""The command `triptych data`: inspect the examples that models are trained and evaluated on, and make data sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triptych.schemas.errors import UsageError
from triptych.service.cli_from_config import command_from
from triptych.units import NS_PER_MS

if TYPE_CHECKING:
    from rich.console import Console

    from triptych.training.data.augmentation.config import Augmentation
    from triptych.training.data.benchmarks.benchmark import GeneratedDataset
    from triptych.training.data.example import Dataset, Example, Task
    from triptych.training.data.manifest import Manifest
    from triptych.training.data.pools.cache import TrackProgress

_RATE_HZ = 16_000
_SHOWN = 10

data = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Labelled windows: list and render benchmarks, convert, clean and prepare data sets.",
)

SourceArgument = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="Folder with manifest.jsonl, folder of LABEL/CLIP, or CSV file with the columns path and label.",
    ),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Benchmark; triptych data list shows them.")]
SplitOption = Annotated[str, typer.Option(metavar="SPLIT", help="Split of the data set.")]
ToOption = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Output folder.")]
AugmentOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="usual|NAME=VALUE", help="Add augmented copies: usual, crop=.2, flip=.5, noise=1, …. May be repeated."
    ),
]
SeedOption = Annotated[int, typer.Option(help="Seed of the examples.")]


@data.command("list")
def list_command() -> None:
    """Show the benchmarks with their ceilings: the best accuracy possible from one, two or all modalities."""
    from rich.console import Console
    from rich.table import Table

    from triptych.training.data.benchmarks.benchmark import BENCHMARKS
    from triptych.training.data.benchmarks.ceilings import bayes_ceilings

    table = Table(box=None, pad_edge=False, caption="ceilings: exact, by enumeration", caption_justify="left")
    for column in ("name", "classes", "one", "two", "all", "further tests", "task"):
        table.add_column(column)
    console = Console()
    with console.status("enumerating"):
        for name, benchmark in BENCHMARKS.items():
            ceilings = bayes_ceilings(benchmark.rules)
            best = [max(float(ceilings[subset]) for subset in ceilings if len(subset) == size) for size in (1, 2)]
            best.append(float(ceilings[benchmark.rules.modalities]))
            further = ", ".join(split.removeprefix("test-") for split in benchmark.extra_splits)
            shown = (f"{ceiling:.3f}" for ceiling in best)
            table.add_row(name, str(len(benchmark.rules.labels)), *shown, further, benchmark.about)
    console.print(table)


@data.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FOLDER", help="Benchmark, or folder made by triptych data prepare.")
    ],
    *,
    index: Annotated[int, typer.Option(min=0, help="Index of the example in its split.")] = 0,
    split: SplitOption = "test",
    to: ToOption = Path(),
    augment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="training|usual|NAME=VALUE",
            help="Write an augmented copy too: training (as in every training), usual, crop=.2, …. May be repeated.",
        ),
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Write one example as an image (frames and spectrogram), a WAV file, its text, and its labels."""
    from triptych.training.data.prepared_dataset import PreparedDataset
    from triptych.training.data.rendering import write_item

    console = _console()
    dataset: Dataset = PreparedDataset(Path(name)) if Path(name).is_dir() else _opened(name, seed, console)
    example = dataset.examples(split, _indices(dataset, split, index, 1))[0]
    folder = to / example.id.replace("/", "-")
    write_item(example, dataset.task, folder)
    if augment:
        write_item(_augmented(example, dataset.task, augment, seed), dataset.task, folder / "augmented")
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        console.print(str(file), highlight=False, soft_wrap=True)


def _augmented(example: Example, task: Task, augment: list[str], seed: int) -> Example:
    """Return the example with the default augmentation of training, or with the one that the user asks for."""
    from triptych.training.data.augmentation.config import parse_augmentation
    from triptych.training.data.augmentation.window_augmentation import augmented_copies

    if augment != ["training"]:
        return augmented_copies(example, parse_augmentation(augment), 1, seed)[0]
    import torch

    from triptych.training.data.augmentation.batch_augmentation import Jitter, jitter_window

    window = jitter_window(example.window, task.spec, Jitter(), torch.Generator().manual_seed(seed))
    return replace(example, window=window)


@data.command()
def render(
    name: NameArgument,
    *,
    index: Annotated[int, typer.Option(min=0, help="Index of the first example.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="Number of examples.")] = 10,
    split: SplitOption = "test",
    to: ToOption = Path(),
    film: Annotated[
        bool,
        typer.Option(
            "--film", help="Write one clip of all examples, a window each, and a JSON line of labels for each."
        ),
    ] = False,
    seed: SeedOption = 0,
) -> None:
    """Write examples as lossless Matroska clips that `triptych produce` plays, in a folder for each label.

    The windows of a film coincide with those of a worker if playback starts at a multiple of the window: --start-at
    2026-01-01T00:00:00Z.
    """
    from triptych.training.data.rendering import write_clip, write_truths

    console = _console()
    dataset = _opened(name, seed, console)
    examples = dataset.examples(split, _indices(dataset, split, index, count))
    to.mkdir(parents=True, exist_ok=True)
    if film:
        written = to / f"{name}-{split}-{index}.mkv"
        write_clip([example.window for example in examples], written)
        write_truths(examples, dataset.task, written.with_suffix(".jsonl"))
        console.print(str(written), highlight=False, soft_wrap=True)
        return
    for example in _track(console)(examples, "rendering"):
        label = dataset.task.labels[int(example.target)]
        folder = to / label
        folder.mkdir(exist_ok=True)
        write_clip([example.window], folder / f"{example.id.replace('/', '-')}.mkv")
    console.print(f"{len(examples)} clips in {to}", highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """What `triptych data prepare` takes.

    Attributes:
        source: folder or table of clips.
        to: output folder.
        frames: frames in each window.
        size: height and width of the frames in pixels.
        window_ms: length of a window.
        text_tokens: maximum number of text tokens in a window.
        augment: augmentation of the copies; None makes no copies.
        copies: augmented copies of each training window.
        seed: seed of the augmentation.
    """

    source: SourceArgument
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Output folder of the windows.")]
    frames: Annotated[int, typer.Option(min=1, help="Frames in each window.")] = 4
    size: Annotated[int, typer.Option(min=8, help="Height and width of the frames in pixels.")] = 224
    window_ms: Annotated[int, typer.Option("--window", min=100, help="Length of a window in milliseconds.")] = 2_000
    text_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of text tokens in a window.")] = 64
    augment: AugmentOption = None
    copies: Annotated[int, typer.Option(min=1, help="Augmented copies of each training window; needs --augment.")] = 1
    seed: Annotated[int, typer.Option(help="Seed of the augmentation.")] = 0


@data.command()
@command_from(PrepareOptions)
def prepare(options: PrepareOptions) -> None:
    """Make labelled windows of clips with the worker's own code, and report what cannot be used."""
    from triptych.models.model import InputSpec
    from triptych.training.data.augmentation.config import parse_augmentation
    from triptych.training.data.labelled_windows import task_of
    from triptych.training.data.prepared_dataset import write_prepared

    manifest = _manifest(options.source)
    spec = InputSpec(options.frames, options.size, options.size, _RATE_HZ, options.text_tokens)
    task = task_of(manifest, spec, options.window_ms * NS_PER_MS)
    changes = parse_augmentation(options.augment) if options.augment else None  # before anything is written
    console = _console()
    if any(item.features for item in manifest.items):
        console.print(
            "features are left out, because prepared windows hold media and text only. To train on features, use the "
            f"manifest: triptych train --data {options.source}",
            style="yellow",
            soft_wrap=True,
        )
    problems: list[str] = []
    examples = _prepared_examples(manifest, task, options, changes, _track(console), problems)
    written = write_prepared(task, examples, options.to)
    for problem in problems:
        console.print(problem, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if not written:
        raise UsageError(f"{options.source}: expected at least one window, got none from {len(manifest.items)} clips")
    console.print(f"{written} windows of {len(manifest.items)} clips in {options.to}", highlight=False, soft_wrap=True)


def _prepared_examples(
    manifest: Manifest,
    task: Task,
    options: PrepareOptions,
    changes: Augmentation | None,
    track: TrackProgress[Any],
    problems: list[str],
) -> Iterator[tuple[str, Example]]:
    """Yield the windows of all items with their splits, augmented copies included. Adds to `problems`."""
    from triptych.training.data.augmentation.window_augmentation import augmented_copies
    from triptych.training.data.clip_records import clip_records
    from triptych.training.data.labelled_windows import labelled_windows

    for item in track(manifest.items, "preparing"):
        try:
            windows = labelled_windows(item, manifest.folder, task, clip_records)
        except UsageError as error:
            problems.append(f"{item.id}: {error}")
            continue
        problems.extend(f"{item.id}: {problem}" for problem in windows.problems)
        for example in windows.examples:
            yield item.split, example
            if changes is not None and item.split == "train":
                for copy in augmented_copies(example, changes, options.copies, options.seed):
                    yield item.split, copy


@data.command()
def convert(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Public data set, such as meld; docs/training-data.md lists them.")
    ],
    root: Annotated[
        Path, typer.Argument(metavar="ROOT", help="Folder of the data set; for mosi, mosei and ch-sims also a pickle.")
    ],
    *,
    to: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="Output folder of labels.json and manifest.jsonl.")
    ],
    regroup: Annotated[
        bool, typer.Option("--regroup", help="Make new splits by group instead of the authors' splits.")
    ] = False,
) -> None:
    """Make the manifest of a public data set on this machine, and report what is missing or broken."""
    from triptych.training.data.adapters.conversion import convert as converted
    from triptych.training.data.manifest import SPLITS, write_manifest

    console = _console()
    conversion = converted(name, root, to, regroup=regroup, track=_track(console))
    write_manifest(conversion.manifest)
    for problem in conversion.problems[:_SHOWN]:
        console.print(problem, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if conversion.problems:
        problems_file = to / "problems.txt"
        problems_file.write_text("".join(f"{problem}\n" for problem in conversion.problems), encoding="utf-8")
        console.print(f"{len(conversion.problems)} problems in {problems_file}", highlight=False, soft_wrap=True)
    items = conversion.manifest.items
    splits = ", ".join(f"{sum(item.split == split for item in items)} {split}" for split in SPLITS)
    console.print(f"{len(items)} items in {to}: {splits}", highlight=False, soft_wrap=True)


@data.command()
def clean(
    source: SourceArgument,
    *,
    to: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="Output folder of the cleaned manifest and the report.")
    ],
) -> None:
    """Check every item for decoding errors, duplicates, conflicting labels, silence, black frames and broken text.

    Writes labels.json and manifest.jsonl without the bad items, and the findings as report.md and report.json. Deletes
    no media file.
    """
    from triptych.training.data.cleaning.clean import clean as cleaned
    from triptych.training.data.cleaning.report import REPORT_FILE, write_report
    from triptych.training.data.clip_records import clip_records
    from triptych.training.data.manifest import relocate, write_manifest

    manifest = _manifest(source)
    if to.resolve() == manifest.folder.resolve():
        raise UsageError(f"{to}: expected another folder than the source, because cleaning overwrites nothing")
    console = _console()
    cleaning = cleaned(manifest, clip_records, track=_track(console))
    write_manifest(relocate(cleaning.after, to))
    write_report(cleaning, to)
    kept = f"{len(cleaning.after.items)} of {len(manifest.items)} items kept"
    console.print(f"{len(cleaning.findings)} findings, {kept}; see {to / REPORT_FILE}", highlight=False, soft_wrap=True)


def _manifest(source: Path) -> Manifest:
    from triptych.training.data.manifest import ITEMS_FILE, read_manifest
    from triptych.training.data.manifest_sources import manifest_of_folder, manifest_of_table

    if source.is_file():
        return manifest_of_table(source)
    if (source / ITEMS_FILE).is_file():
        return read_manifest(source)
    return manifest_of_folder(source)


def _opened(name: str, seed: int, console: Console) -> GeneratedDataset:
    from triptych.training.data.benchmarks.benchmark import open_benchmark

    return open_benchmark(name, seed=seed, track=_track(console))


def _indices(dataset: Dataset, split: str, first: int, count: int) -> range:
    size = dataset.size(split)
    if first + count > size:
        raise UsageError(
            f"{dataset.task.name}, {split}: expected examples below {size}, got {first} to {first + count}"
        )
    return range(first, first + count)


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _track(console: Console) -> TrackProgress[Any]:
    """Return a progress display that shows nothing outside a terminal."""
    from rich.progress import track

    return lambda items, heading: track(items, heading, console=console, disable=not console.is_terminal)
