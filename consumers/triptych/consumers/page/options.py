"""The options of `triptych page`. Importing them imports no client."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer

from triptych.consumers.asking.options import LanguageModelOptions
from triptych.service.cli_from_config import ReadAs
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption

_Texts = ReadAs(list[str] | None, tuple)


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Where the page is."""

    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on. Others than loopback need a login.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on. 0: any free one.")] = 8_780
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False
    host_name: Annotated[
        tuple[str, ...],
        typer.Option("--host-name", metavar="NAME", help="A name by which the page is opened; repeatable."),
        _Texts,
    ] = ()


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """Who may look."""

    users: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file of users, with tokens, roles and feeds (docs/page.md)."),
    ] = None
    session_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Signs cookies, so that logins last over a restart; created if missing."),
    ] = None
    secure_cookie: Annotated[
        bool, typer.Option("--secure-cookie", help="Send the cookie over HTTPS only: behind a TLS proxy.")
    ] = False
    user_header: Annotated[
        str | None, typer.Option(metavar="NAME", help="Header in which a reverse proxy names the user.")
    ] = None
    trust_proxy: Annotated[
        tuple[str, ...],
        typer.Option("--trust-proxy", metavar="ADDRESS|NETWORK", help="Where that proxy is; repeatable."),
        _Texts,
    ] = ()
    without_login: Annotated[
        bool,
        typer.Option(
            "--without-login",
            help="Listen on any address without a login: in a container whose port is published on loopback only.",
        ),
    ] = False
    allow: Annotated[
        Literal["see", "review", "operate"],
        typer.Option(help="What everybody may do who is in no users file. Each includes those before it."),
    ] = "see"


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """What is listed for review."""

    match_score: Annotated[
        float, typer.Option(min=0, max=1, metavar="SCORE", help="The least score of a match of a prompt.")
    ] = 0.5
    alert: Annotated[
        tuple[str, ...],
        typer.Option("--alert", metavar="RULE", help="Also list when a rule holds; repeatable (docs/rules.md)."),
        _Texts,
    ] = ()
    hold: Annotated[
        str | None, typer.Option(metavar="DURATION", help="List an event when it has lasted for this long (5s, 2m).")
    ] = None
    cool_down: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="After an event, list no other one of its feed for this long."),
    ] = None


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """What the page remembers."""

    since: Annotated[
        str,
        typer.Option(
            metavar="TIME|AGE|now|beginning",
            help="From when on results are read at the start: a publication time with its zone, or an age (24h).",
        ),
    ] = "3h"
    windows: Annotated[
        int,
        typer.Option(min=1_000, metavar="N", help="Windows kept one by one, of all feeds; older ones by the minute."),
    ] = 240_000
    cache_mb: Annotated[
        int, typer.Option(min=1, max=65_536, metavar="MB", help="Memory for pictures, and a quarter of it for sounds.")
    ] = 256


@dataclass(frozen=True, slots=True)
class PageOptions:
    """What `triptych page` takes."""

    listen: ListenOptions = field(default_factory=ListenOptions)
    access: AccessOptions = field(default_factory=AccessOptions)
    review: ReviewOptions = field(default_factory=ReviewOptions)
    memory: MemoryOptions = field(default_factory=MemoryOptions)
    index: Annotated[
        str | None,
        typer.Option(
            metavar="LOCATION",
            help="Search the index that `triptych index` writes there: a folder, which can be asked too, or "
            "postgresql://USER@HOST/DATABASE (setting page.index).",
        ),
    ] = None
    language_model: LanguageModelOptions = field(default_factory=LanguageModelOptions)
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Print a new token, and its hash for the users file, and exit.")
    ] = False
    config: ConfigOption = None
    bootstrap_servers: BootstrapServersOption = None
    redis_url: RedisUrlOption = None
    pipeline: PipelineOption = None
