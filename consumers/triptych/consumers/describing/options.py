"""The options of `triptych describe`. Importing them imports no client."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from triptych.service.cli_from_config import ReadAs
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model is asked, and what."""

    endpoint: Annotated[
        str,
        typer.Option(
            metavar="URL", help="OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1. Its key: --key-file."
        ),
    ]
    model: Annotated[str, typer.Option(metavar="NAME", help="The model's name at the endpoint.")]
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the API key (setting describe.key_file). Or the variable TRIPTYCH_DESCRIBE_KEY; arguments "
            "stand in the process list.",
        ),
    ] = None
    language: Annotated[
        str, typer.Option(metavar="NAME", help="The language to write in: a name or a tag, such as German or de.")
    ] = "English"
    ask: Annotated[
        tuple[str, ...],
        typer.Option(metavar="QUESTION", help="A question about each window; repeatable."),
        ReadAs(list[str] | None, tuple),
    ] = ()
    pictures: Annotated[int, typer.Option(min=0, max=64, help="The largest number of pictures of a window.")] = 4
    picture_edge: Annotated[
        int, typer.Option(min=64, max=4_096, help="The longest edge of a picture in pixels; larger ones are reduced.")
    ] = 768
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Send the sound, if the endpoint takes it.")] = True
    max_output_tokens: Annotated[int, typer.Option(min=16, help="The most tokens of one answer.")] = 700


@dataclass(frozen=True, slots=True)
class ConditionOptions:
    """Which results are described."""

    where: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="Only results that match a rule: \"speech > .5 and 'dog' in visual\"."),
    ] = None
    match: Annotated[
        tuple[str, ...],
        typer.Option(
            metavar="PROMPT[=SCORE]",
            help="Only results that match one of these prompts, by default from .5; repeatable.",
        ),
        ReadAs(list[str] | None, tuple),
    ] = ()
    novelty: Annotated[
        float | None, typer.Option(min=0, max=2, metavar="X", help="Only results with at least this novelty.")
    ] = None
    hold: Annotated[
        float, typer.Option(min=0, metavar="S", help="The conditions must have held for this long, in event time.")
    ] = 0.0
    every: Annotated[
        float, typer.Option(min=0, metavar="S", help="At most one window of a stream in this event time.")
    ] = 0.0
    same: Annotated[
        float,
        typer.Option(
            min=-1,
            max=1,
            metavar="COSINE",
            help="Skip a window whose vector is at least this close to the last described one, if its layout is close "
            "too, and it has no new words.",
        ),
    ] = 0.97
    same_bits: Annotated[
        int, typer.Option(min=0, max=64, help="How many of the 64 bits of that layout may differ for it.")
    ] = 6
    repeat: Annotated[bool, typer.Option("--repeat", help="Describe also windows that show the same.")] = False
    max_age: Annotated[
        float | None,
        typer.Option(min=0, metavar="S", help="Skip results that were published longer ago. Default: none."),
    ] = None


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """What descriptions may cost."""

    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Requests at the same time, of different streams.")
    ] = 2
    timeout: Annotated[float, typer.Option(min=0.1, metavar="S", help="The timeout of one whole request.")] = 60.0
    give_up_after: Annotated[
        float, typer.Option(min=0, metavar="S", help="Retry a window for this long, then record it as given up.")
    ] = 600.0
    budget_tokens_per_day: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="The most tokens of a day (UTC), of the whole pipeline.")
    ] = None
    budget_usd_per_day: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="The most US dollars of a day, by the two prices below.")
    ] = None
    usd_per_million_input: Annotated[
        float, typer.Option(min=0, metavar="USD", help="The price of a million input tokens.")
    ] = 0.0
    usd_per_million_output: Annotated[
        float, typer.Option(min=0, metavar="USD", help="The price of a million output tokens.")
    ] = 0.0


@dataclass(frozen=True, slots=True)
class DescribeOptions:
    """What `triptych describe` takes."""

    model: ModelOptions
    stream: Annotated[str | None, typer.Argument(help="One stream. Default: all streams.")] = None
    conditions: ConditionOptions = field(default_factory=ConditionOptions)
    limits: LimitOptions = field(default_factory=LimitOptions)
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME|AGE|now|beginning",
            help="Where to start if the group has read nothing yet: a publication time with its zone, an age (2h).",
        ),
    ] = "now"
    until_end: Annotated[bool, typer.Option("--until-end", help="Exit after the last result that exists now.")] = False
    group: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The consumer group. Default: PIPELINE.describe. Another for other questions."
        ),
    ] = None
    dry_run: Annotated[
        str | None,
        typer.Option(metavar="RESULT_ID", help="Print the request about one result, send nothing, and exit."),
    ] = None
    config: ConfigOption = None
    bootstrap_servers: BootstrapServersOption = None
    pipeline: PipelineOption = None
