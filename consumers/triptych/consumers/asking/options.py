"""The options of `triptych ask` and `triptych summarize`. Importing them imports no client."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from triptych.consumers.searching.cli import INDEX_HELP, SearchScopeOptions
from triptych.service.cli_options import ConfigOption, PipelineOption


@dataclass(frozen=True, slots=True)
class LanguageModelOptions:
    """A language model that words the answer. Without one, rules and templates do."""

    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Let a model behind this OpenAI-compatible endpoint word what was found."),
    ] = None
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The model's name at the endpoint.")] = None
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the API key (setting describe.key_file). Or the variable TRIPTYCH_DESCRIBE_KEY.",
        ),
    ] = None
    timeout: Annotated[float, typer.Option(min=0.1, metavar="S", help="The timeout of the request to it.")] = 60.0


@dataclass(frozen=True, slots=True)
class AskOptions:
    """What `triptych ask` takes."""

    question: Annotated[str, typer.Argument(metavar="QUESTION", help="A question in English or Chinese.")] = ""
    scope: SearchScopeOptions = field(default_factory=SearchScopeOptions)
    session: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Continue this conversation: “and after that?” means after the last answer."),
    ] = None
    aliases: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="TOML with other names: NYC = ['New York']. [default: aliases.toml in the index]"
        ),
    ] = None
    language_model: LanguageModelOptions = field(default_factory=LanguageModelOptions)
    json: Annotated[bool, typer.Option("--json", help="Print the answer as one line of JSON.")] = False
    index: Annotated[Path | None, typer.Option(metavar="FOLDER", help=INDEX_HELP)] = None
    pipeline: PipelineOption = None
    config: ConfigOption = None
