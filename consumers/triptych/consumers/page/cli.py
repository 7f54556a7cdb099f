"""The command `triptych page`. It imports the server when it runs."""

from __future__ import annotations

import typer

from triptych.consumers.page.options import PageOptions
from triptych.service.cli_from_config import command_from


@command_from(PageOptions)
def page(options: PageOptions) -> None:
    """Show in a browser what the feeds of a pipeline show and say, what matched, and what is wrong. Ctrl-C ends it."""
    if options.new_token:
        from triptych.consumers.page.web.access import new_token

        token, hashed = new_token()
        typer.echo(f'token         {token}\ntoken_sha256 = "{hashed}"')
        return
    from triptych.consumers.page.program import serve_page
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load

    flags = {
        "kafka.bootstrap_servers": options.bootstrap_servers,
        "redis.url": options.redis_url,
        "pipeline": options.pipeline,
        "page.index": options.index,
        "describe.key_file": options.language_model.key_file,
    }
    settings = load(options.config, flags)
    configure_logs(settings.log)
    serve_page(settings, options)
