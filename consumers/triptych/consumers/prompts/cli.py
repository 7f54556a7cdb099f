"""The commands `triptych prompts` and `triptych feedback`. They import the client when they run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.schemas.errors import UsageError
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption

if TYPE_CHECKING:
    from triptych.settings.tree import Settings

prompts = typer.Typer(
    help="What a pipeline looks for in its feeds, in words.", no_args_is_help=True, add_completion=False
)


class AnswerChoice(StrEnum):
    """Whether the window fits the prompt."""

    YES = "yes"
    NO = "no"


class ResultsChoice(StrEnum):
    """Where to read the result."""

    REDIS = "redis"
    KAFKA = "kafka"


NameArgument = Annotated[str, typer.Argument(help="The prompt's name, as in rules: matches['fire'].")]


@prompts.command("set")
def set_prompt(
    name: NameArgument,
    text: Annotated[str, typer.Argument(help='What to look for: "a fire".')],
    *,
    language: Annotated[str, typer.Option(metavar="LANG", help="The language of TEXT.")] = "en",
    zh: Annotated[str | None, typer.Option(metavar="TEXT", help="The same in Chinese.")] = None,
    also: Annotated[
        list[str] | None, typer.Option(metavar="LANG=TEXT", help="The same in another language; repeatable.")
    ] = None,
    negatives: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="TEXT", help="What looks like it and is not meant; repeatable."),
    ] = None,
    feeds: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only these streams, with * and ?; repeatable. Default: all."),
    ] = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Set a prompt, new or changed. It takes effect after prompts.delay_ms."""
    from contextlib import closing

    from triptych.consumers.prompts.prompt_topic import PromptTopic
    from triptych.schemas.errors import MalformedRecordError
    from triptych.schemas.perception.prompts import Prompt
    from triptych.schemas.validation import built
    from triptych.transport.open import open_transport

    settings = _settings(config, bootstrap_servers, None, pipeline)
    fields = {
        "name": name,
        "texts": _texts(language, text, zh, also or []),
        "negatives": tuple(negatives or ()),
        "feeds": tuple(feeds or ("*",)),
    }
    try:
        prompt = built(Prompt, fields)
    except MalformedRecordError as error:
        raise UsageError(str(error)) from None
    with closing(open_transport(settings.kafka)) as transport:
        PromptTopic(transport, settings.pipeline).set(prompt)
    typer.echo(
        f"{name}: version {prompt.version}, for {', '.join(prompt.feeds)}; "
        f"in effect after {settings.prompts.delay_ms / 1_000:g} s"
    )


@prompts.command("list")
def list_prompts(
    *,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Show the prompts of a pipeline."""
    from contextlib import closing

    from triptych.consumers.prompts.prompt_topic import PromptTopic
    from triptych.transport.open import open_transport

    settings = _settings(config, bootstrap_servers, None, pipeline)
    with closing(open_transport(settings.kafka)) as transport:
        known = PromptTopic(transport, settings.pipeline).read()
    for name, found in known.items():
        if json:
            typer.echo(found.prompt.model_dump_json())
            continue
        texts = ", ".join(f"{language}: {text}" for language, text in found.prompt.texts.items())
        negatives = "".join(f"; not: {text}" for text in found.prompt.negatives)
        typer.echo(f"{name}  {texts}{negatives}; feeds {', '.join(found.prompt.feeds)}; version {found.prompt.version}")
    if not known and not json:
        typer.echo("no prompts")


@prompts.command("remove")
def remove_prompt(
    name: NameArgument,
    *,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Remove a prompt. It stays in effect for prompts.delay_ms."""
    from contextlib import closing

    from triptych.consumers.prompts.prompt_topic import PromptTopic
    from triptych.transport.open import open_transport

    settings = _settings(config, bootstrap_servers, None, pipeline)
    with closing(open_transport(settings.kafka)) as transport:
        PromptTopic(transport, settings.pipeline).remove(name)
    typer.echo(f"{name}: removed")


@prompts.command("compare")
def compare_prompt_heads(
    candidate: Annotated[
        Path, typer.Argument(metavar="FILE", help="The head that triptych train --from-feedback wrote.")
    ],
    stream: Annotated[str | None, typer.Argument(help="One stream. Default: all streams.")] = None,
    *,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only results published later (2026-01-01T00:00:00Z). Default: all."),
    ] = None,
    from_: Annotated[ResultsChoice, typer.Option("--from", help="Where to read the results.")] = ResultsChoice.KAFKA,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Compare a head with the one in prompts.head: on the matches of a pipeline, and by the feedback on them."""
    from contextlib import closing

    from triptych.consumers.prompts.head_comparison import HeadPair, compare_heads
    from triptych.consumers.prompts.head_comparison_text import head_comparison_lines
    from triptych.consumers.prompts.prompt_topic import read_feedback
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.consumers.watching.watch import open_source
    from triptych.models.prompt_head_file import read_prompt_head
    from triptych.schemas.perception.prompt_head import SHIPPED_HEAD
    from triptych.transport.open import open_transport

    settings = _settings(config, bootstrap_servers, redis_url, pipeline)
    active = settings.prompts.head
    heads = HeadPair(read_prompt_head(Path(active)) if active else SHIPPED_HEAD, read_prompt_head(candidate))
    with closing(open_transport(settings.kafka)) as transport:
        answers = read_feedback(transport, settings.pipeline)
    if stream is not None:
        answers = [answer for answer in answers if answer.stream == stream]
    with Subscriber(open_source(settings, from_.value)) as subscriber:
        results = subscriber.results(stream, since, until_end=True, revisions="all")
        found = compare_heads((delivery.result for delivery in results.deliveries()), answers, heads)
    for line in head_comparison_lines(found, heads):
        typer.echo(line)


def feedback(
    result_id: Annotated[str, typer.Argument(metavar="RESULT_ID", help="STREAM/START-END/REVISION, as in the result.")],
    answer: Annotated[AnswerChoice, typer.Argument(help="Whether the window fits the prompt.")],
    *,
    prompt: Annotated[str, typer.Option(metavar="NAME", help="The prompt.", show_default=False)],
    from_: Annotated[ResultsChoice, typer.Option("--from", help="Where to read the result.")] = ResultsChoice.REDIS,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Say whether a result fits a prompt. A prompt head learns from it (docs/prompts.md)."""
    from contextlib import closing

    from triptych.consumers.evidence.evidence import find_evidence
    from triptych.consumers.prompts.feedback import feedback_on
    from triptych.consumers.prompts.prompt_topic import send_feedback
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.consumers.watching.watch import open_source
    from triptych.transport.open import open_transport

    settings = _settings(config, bootstrap_servers, redis_url, pipeline)
    with Subscriber(open_source(settings, from_.value)) as subscriber:
        result = find_evidence(subscriber, result_id).delivery.result
    given = feedback_on(result, prompt, answer.value)
    with closing(open_transport(settings.kafka)) as transport:
        send_feedback(transport, settings.pipeline, given)
    typer.echo(f"{result_id}: {answer.value} for {prompt}, which had the score {given.match.score:g}")


def _texts(language: str, text: str, zh: str | None, also: list[str]) -> dict[str, str]:
    texts = {language: text}
    if zh is not None:
        texts["zh"] = zh
    for entry in also:
        other, equals, translation = entry.partition("=")
        if not (other and equals and translation):
            raise UsageError(f"--also: expected LANG=TEXT, such as de=ein Feuer, got {entry!r}")
        if other in texts:
            raise UsageError(f"--also: expected each language once, got {other} twice")
        texts[other] = translation
    return texts


def _settings(
    config: Path | None, bootstrap_servers: str | None, redis_url: str | None, pipeline: str | None
) -> Settings:
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load

    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url, "pipeline": pipeline}
    settings = load(config, flags)
    configure_logs(settings.log)
    return settings
