"""The flags that several commands share, each with the setting that it overrides.

A command hands them to `triptych.settings.tree.load`, which ignores those that were not given:
`load(config, {"kafka.bootstrap_servers": bootstrap_servers, "pipeline": pipeline})`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file of settings; else the one that TRIPTYCH_CONFIG names."),
]
BootstrapServersOption = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", metavar="HOST:PORT,…", help="Kafka brokers (kafka.bootstrap_servers)."),
]
RedisUrlOption = Annotated[
    str | None,
    typer.Option("--redis-url", metavar="URL", help="Redis server (redis.url)."),
]
PipelineOption = Annotated[
    str | None,
    typer.Option("--pipeline", metavar="NAME", help="Pipeline: consumer group, result topics, Redis keys (pipeline)."),
]
