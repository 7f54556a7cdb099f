"""The commands `triptych interact`, `triptych recommend` and, of `triptych recommender`, `profile` and `forget`.

They import what they need when they run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from triptych.schemas.errors import UsageError
from triptych.service.cli_from_config import command_from
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption

if TYPE_CHECKING:
    from triptych.consumers.recommending.recommender import Recommendation
    from triptych.schemas.recommending.interactions import ItemKind, RecommendationRecord
    from triptych.settings.tree import Settings

UserArgument = Annotated[
    str, typer.Argument(metavar="USER", help="Name of the user. Only a keyed hash of it is written.")
]
SecretFileOption = Annotated[
    Path | None,
    typer.Option("--secret-file", metavar="FILE", help="Secret of the pseudonyms (setting recommend.secret_file)."),
]


_EXPECTED: Final = {
    "item": "STREAM or STREAM/START-END, with a stream of 1 to 128 of A-Z a-z 0-9 . _ -",
    "seconds": "a number of seconds from 0 to 1,000,000,000",
    "text": "1 to 2,000 characters",
    "language": "a language tag such as en or pt-BR",
}
"""What a field of a record may be, for who typed it."""
_SHOWN_CHARACTERS: Final = 60


class ItemsChoice(StrEnum):
    """What to recommend."""

    WINDOWS = "windows"
    CLIPS = "clips"
    FEEDS = "feeds"


@dataclass(frozen=True, slots=True)
class InteractOptions:
    """Who did what with which item."""

    user: UserArgument
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="A result or window (STREAM/START-END), or a stream: a feed or clip.")
    ]
    watched: Annotated[
        float | None, typer.Option("--watched", min=0, metavar="SECONDS", help="It was watched for this long.")
    ] = None
    liked: Annotated[bool, typer.Option("--liked", help="The user likes it.")] = False
    skipped: Annotated[bool, typer.Option("--skipped", help="The user skipped it.")] = False
    clip: Annotated[bool, typer.Option("--clip", help="The stream is a clip: it is not recommended again.")] = False
    secret_file: SecretFileOption = None
    bootstrap_servers: BootstrapServersOption = None
    pipeline: PipelineOption = None
    config: ConfigOption = None


@dataclass(frozen=True, slots=True)
class RecommendOptions:
    """For whom, what, and how to print it."""

    user: UserArgument
    n: Annotated[int, typer.Option("--n", min=1, max=1_000, metavar="N", help="The most items to recommend.")] = 10
    of: Annotated[ItemsChoice, typer.Option("--of", help="What to recommend.")] = ItemsChoice.WINDOWS
    diversity: Annotated[
        float, typer.Option(min=0, max=1, help="How much the items shall differ: from 0, by score alone, to 1.")
    ] = 0.2
    json: Annotated[bool, typer.Option("--json", help="Print one item per line, as JSON.")] = False
    index: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the index. By default that of the pipeline.")
    ] = None
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The trained recommender (setting recommend.model).")
    ] = None
    picture_space: Annotated[
        str, typer.Option(metavar="SOURCE", help="The foundation model of the workers' --picture-space, if any.")
    ] = ""
    secret_file: SecretFileOption = None
    bootstrap_servers: BootstrapServersOption = None
    pipeline: PipelineOption = None
    config: ConfigOption = None


@command_from(InteractOptions)
def interact(options: InteractOptions) -> None:
    """Say what a user did with a window, clip or feed. The next recommendation knows it."""
    from triptych.schemas.recommending.interactions import Interaction, UserAction, item_of

    settings = _settings(options.bootstrap_servers, options.pipeline, options.config)
    flags: tuple[tuple[UserAction, bool], ...] = (
        ("watched", options.watched is not None),
        ("liked", options.liked),
        ("skipped", options.skipped),
    )
    done = [action for action, was_given in flags if was_given]
    if not done:
        raise UsageError("interact: expected --watched SECONDS, --liked or --skipped, got none")
    if options.liked and options.skipped:
        raise UsageError("interact: expected --liked or --skipped, got both")
    kind, name = item_of(options.item, "clip" if options.clip else "feed")
    if options.clip and kind == "window":
        raise UsageError(f"interact: expected a stream with --clip, got the window {name}")
    user = _pseudonym(settings, options.secret_file, options.user)
    fields = {"user": user, "kind": kind, "item": name, "time_ns": _now_ns()}
    seconds = {"watched": options.watched}
    _send(
        settings,
        [_checked(Interaction, {**fields, "action": action, "seconds": seconds.get(action)}) for action in done],
    )
    typer.echo(f"{kind} {name}: {', '.join(done)}")


@command_from(RecommendOptions)
def recommend(options: RecommendOptions) -> None:
    """Recommend windows, clips or feeds to a user, with the reasons."""
    from triptych.consumers.recommending.opening import NO_ENCODER, open_recommender
    from triptych.consumers.recommending.recommender import RecommendationQuery

    settings = _settings(options.bootstrap_servers, options.pipeline, options.config)
    kinds: dict[ItemsChoice, ItemKind] = {
        ItemsChoice.WINDOWS: "window",
        ItemsChoice.CLIPS: "clip",
        ItemsChoice.FEEDS: "feed",
    }
    user = _pseudonym(settings, options.secret_file, options.user)
    query = RecommendationQuery(user, kinds[options.of], options.n, options.diversity)
    with open_recommender(
        settings, index=options.index, model=options.model, picture_space=options.picture_space, users=[user]
    ) as opened:
        found = opened.recommend(query)
        is_ignored = opened.ignores_profile(user)
    if options.json:
        _print_json(found)
    else:
        _print_items(found, options.of)
    if is_ignored:
        typer.echo(f"the profile of the user does not count: {NO_ENCODER}", err=True)


def profile(
    user: UserArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help='What the user likes: "trains, harbours, old cities".')],
    *,
    language: Annotated[
        str | None, typer.Option(metavar="LANG", help="Language of TEXT, as a tag such as en. It is only stored.")
    ] = None,
    secret_file: SecretFileOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
    config: ConfigOption = None,
) -> None:
    """Say in words what a user likes. It replaces what was said before."""
    from triptych.schemas.recommending.interactions import UserProfile

    settings = _settings(bootstrap_servers, pipeline, config)
    pseudonym = _pseudonym(settings, secret_file, user)
    fields = {"user": pseudonym, "text": text, "language": language, "time_ns": _now_ns()}
    _send(settings, [_checked(UserProfile, fields)])
    typer.echo("the profile is set")


def forget(
    user: UserArgument,
    *,
    secret_file: SecretFileOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete everything that is stored about a user.

    Trained models name no users and keep no vectors of them. `triptych recommender train` also removes what the factors
    of items learnt from the user.
    """
    from contextlib import closing

    from triptych.consumers.recommending.interaction_topic import forget_user
    from triptych.transport.open import open_transport

    settings = _settings(bootstrap_servers, pipeline, config)
    pseudonym = _pseudonym(settings, secret_file, user)
    with closing(open_transport(settings.kafka)) as transport:
        count = forget_user(transport, settings.pipeline, pseudonym)
    typer.echo(f"deleted {count} record{'' if count == 1 else 's'}")


def _send(settings: Settings, records: list[RecommendationRecord]) -> None:
    from contextlib import closing

    from triptych.consumers.recommending.interaction_topic import send_interactions
    from triptych.transport.open import open_transport

    with closing(open_transport(settings.kafka)) as transport:
        send_interactions(transport, settings.pipeline, records)


def _checked(kind: type[RecommendationRecord], fields: Mapping[str, object]) -> RecommendationRecord:
    """Return the record of what a user gave. Raises `UsageError`."""
    from pydantic import ValidationError

    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(next(iter(first["loc"]), ""))
        expected, shown = _EXPECTED.get(name, first["msg"]), str(fields.get(name, ""))
        cut = shown[:_SHOWN_CHARACTERS] + "…" if len(shown) > _SHOWN_CHARACTERS else shown
        raise UsageError(f"{name or 'value'}: expected {expected}, got {cut!r} of {len(shown):,} characters") from None


def _pseudonym(settings: Settings, secret_file: Path | None, user: str) -> str:
    from triptych.consumers.recommending.pseudonyms import Pseudonyms

    return Pseudonyms.read(secret_file or settings.recommend.secret_file).of(user)


def _settings(bootstrap_servers: str | None, pipeline: str | None, config: Path | None) -> Settings:
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load

    settings = load(config, {"kafka.bootstrap_servers": bootstrap_servers, "pipeline": pipeline})
    configure_logs(settings.log)
    return settings


def _now_ns() -> int:
    import time

    return time.time_ns()


def _print_json(found: list[Recommendation]) -> None:
    import json
    from dataclasses import asdict

    for one in found:
        reason = asdict(one.reason) | {"text": str(one.reason)}
        document = {"item": one.item, "kind": one.kind, "title": one.title, "score": one.score, "reason": reason}
        typer.echo(json.dumps(document, ensure_ascii=False))


def _print_items(found: list[Recommendation], kind: ItemsChoice) -> None:
    from rich.console import Console
    from rich.text import Text

    from triptych.terminal_text import printable

    console = Console()
    for number, one in enumerate(found, 1):
        title = "" if one.title == one.item else f"  {printable(one.title)}"
        console.print(Text.assemble((f"{number:>2}  ", "bold"), (one.item, "bold cyan"), title), soft_wrap=True)
        console.print(Text(f"    {printable(str(one.reason))}", style="dim"), soft_wrap=True)
    if not found:
        source = " or `triptych recommender import`" if kind is ItemsChoice.CLIPS else ""
        wanted = f"{kind.value} that the user does not know"
        typer.echo(f"nothing to recommend: expected {wanted}; `triptych index`{source} adds some")
