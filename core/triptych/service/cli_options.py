"""Command-line options that several commands share. Each one overrides a setting.

A command passes them to `triptych.settings.loading.load`, which ignores those that were not given:
`load(config, {"kafka.bootstrap_servers": bootstrap_servers, "pipeline": pipeline})`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="TOML file with settings. [default: the one in TRIPTYCH_CONFIG]"),
]
BootstrapServersOption = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", metavar="HOST:PORT,…", help="Kafka brokers (setting kafka.bootstrap_servers)."),
]
RedisUrlOption = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        metavar="URL",
        help="Redis server (setting redis.url). A password belongs in redis.password_file or TRIPTYCH_REDIS_URL: "
        "arguments stand in the process list.",
    ),
]
PipelineOption = Annotated[
    str | None,
    typer.Option(
        "--pipeline",
        metavar="NAME",
        help="Pipeline, which names the consumer group, the result topics and the Redis keys (setting pipeline).",
    ),
]
