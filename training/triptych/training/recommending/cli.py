"""The commands `triptych recommender train` and `triptych recommender import`. They import what they need when run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption


class RatingSetChoice(StrEnum):
    """The data sets that can be imported."""

    MOVIELENS = "movielens"
    MICROLENS = "microlens"
    AMAZON = "amazon"


def train(
    *,
    index: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the index. By default that of the pipeline.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write (setting recommend.model).")
    ] = None,
    factors: Annotated[int, typer.Option(min=2, max=1_024, help="Numbers of an item in ALS and BPR, at most.")] = 64,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all that is drawn.")] = 0,
    picture_space: Annotated[
        str, typer.Option(metavar="SOURCE", help="The foundation model of the workers' --picture-space, if any.")
    ] = "",
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
    config: ConfigOption = None,
) -> None:
    """Train the recommender with all interactions of a pipeline. `triptych recommend` uses it from then on."""
    from contextlib import closing

    from triptych.consumers.recommending.interaction_topic import InteractionLog
    from triptych.consumers.recommending.opening import NO_ENCODER, catalogue_of, embedder_of, model_file
    from triptych.files import why_not_writable
    from triptych.schemas.errors import UsageError
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load
    from triptych.training.recommending.fit_factors import FactorConfig
    from triptych.training.recommending.fit_ranking_head import RankingHeadConfig
    from triptych.training.recommending.fit_recommender import RecommenderConfig
    from triptych.training.recommending.train_from_topic import train_from_log
    from triptych.transport.open import open_transport

    settings = load(config, {"kafka.bootstrap_servers": bootstrap_servers, "pipeline": pipeline})
    configure_logs(settings.log)
    catalogue = catalogue_of(settings, index)
    path = model_file(settings, out)
    if problem := why_not_writable(path):
        raise UsageError(problem)
    embedder = embedder_of(None if catalogue is None else catalogue.space, picture_space)
    chosen = RecommenderConfig(FactorConfig(factors=factors, seed=seed), RankingHeadConfig(seed=seed))
    with (
        closing(open_transport(settings.kafka)) as transport,
        InteractionLog(transport, settings.pipeline) as log,
    ):
        report = train_from_log(log, catalogue, embedder, path, chosen)
        if embedder is None and (log.texts or log.profiles):
            typer.echo(f"profiles and texts of items do not count: {NO_ENCODER}", err=True)
    typer.echo(f"{report.events:,} interactions of {report.users:,} users with {report.items:,} items")
    if report.lists:
        typer.echo(
            f"ranking head: loss {report.loss:.3f} on held-out lists, {report.shipped_loss:.3f} with shipped weights"
        )
    else:
        typer.echo("ranking head: the shipped weights stay, there are too few users with later interactions")
    typer.echo(f"version {report.version}: {path}")


def import_(
    data_set: Annotated[RatingSetChoice, typer.Argument(help="Which data set.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Its folder, or for Amazon its file of reviews.")],
    *,
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", metavar="FILE", help="Secret of the pseudonyms (setting recommend.secret_file)."),
    ] = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
    config: ConfigOption = None,
) -> None:
    """Publish the interactions of a public data set as those of clips, with the titles of its items."""
    from contextlib import closing

    from triptych.consumers.recommending.pseudonyms import Pseudonyms
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load
    from triptych.training.recommending.import_set import import_set
    from triptych.transport.open import open_transport

    settings = load(config, {"kafka.bootstrap_servers": bootstrap_servers, "pipeline": pipeline})
    configure_logs(settings.log)
    pseudonyms = Pseudonyms.read(secret_file or settings.recommend.secret_file)
    with closing(open_transport(settings.kafka)) as transport:
        counts = import_set(transport, settings.pipeline, pseudonyms, name=data_set.value, path=path)
    typer.echo(f"published {counts.interactions:,} interactions, and {counts.items:,} texts of items")
