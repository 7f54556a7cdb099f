"""What `triptych interact`, `recommend` and `recommender profile` tell who mistypes, or misses something."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.consumers.recommending.conftest import FILMS, PIPELINE, SPACE, START_NS, did, tell
from triptych.consumers.recommending import cli, opening
from triptych.consumers.recommending.interaction_topic import InteractionLog, send_interactions
from triptych.consumers.recommending.pseudonyms import Pseudonyms
from triptych.consumers.recommending.recommendable import ListedCatalogue
from triptych.consumers.recommending.recommender import Recommender
from triptych.schemas.recommending.interactions import RecommendationRecord, UserProfile
from triptych.transport.protocols import Transport

SECRET = b"0123456789abcdef"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[RecommendationRecord]:
    """Return the list of what the commands send, in place of a broker."""
    (tmp_path / "secret").write_bytes(SECRET)
    monkeypatch.setenv("TRIPTYCH_RECOMMEND_SECRET_FILE", str(tmp_path / "secret"))
    records: list[RecommendationRecord] = []
    monkeypatch.setattr(cli, "_send", lambda _settings, new: records.extend(new))
    monkeypatch.setattr("triptych.service.logs.configure_logs", lambda _settings: None)
    return records


def run(*arguments: str) -> Result:
    """Run one of the commands."""
    app = typer.Typer()
    for command in (cli.interact, cli.recommend, cli.profile):
        app.command()(command)
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["interact", "anna", "city"], "interact: expected --watched SECONDS, --liked or --skipped, got none"),
        (["interact", "anna", "city", "--liked", "--skipped"], "interact: expected --liked or --skipped, got both"),
        (
            ["interact", "anna", "city/1-2", "--clip", "--liked"],
            "expected a stream with --clip, got the window city/1-2",
        ),
        (
            ["interact", "anna", "a b", "--liked"],
            "item: expected STREAM or STREAM/START-END, with a stream of 1 to 128",
        ),
        (["profile", "anna", ""], "text: expected 1 to 2,000 characters, got '' of 0 characters"),
        (["profile", "anna", "x" * 2_001], "text: expected 1 to 2,000 characters, got 'xxx"),
        (["profile", "anna", "x", "--language", "English"], "language: expected a language tag such as en"),
    ],
)
def test_a_mistake_is_told(sent: list[RecommendationRecord], arguments: list[str], message: str) -> None:
    """In the words of the command. Nothing is sent."""
    assert message in str(run(*arguments).exception)
    assert sent == []


def test_what_was_done_is_sent(sent: list[RecommendationRecord]) -> None:
    """One record for each action."""
    assert (
        run("interact", "anna", "city/1-2/0", "--liked", "--watched", "3").output == "window city/1-2: watched, liked\n"
    )
    assert [record.key.partition("/")[2] for record in sent] == ["watched/window/city/1-2", "liked/window/city/1-2"]


def test_a_profile_that_does_not_count_is_told(
    sent: list[RecommendationRecord], transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the answer, on standard error; and what brings items, where the user knows them all."""
    assert sent == []

    def open_it(*_arguments: object, **_options: object) -> Recommender:
        """Open a recommender of two films without an encoder."""
        return Recommender(InteractionLog(transport, PIPELINE), ListedCatalogue(FILMS[:2], SPACE))

    monkeypatch.setattr(opening, "open_recommender", open_it)
    anna = Pseudonyms(SECRET).of("anna")
    assert run("recommend", "anna", "--of", "clips").stderr == ""
    send_interactions(transport, PIPELINE, [UserProfile(user=anna, text="trains", time_ns=START_NS)])
    answer = run("recommend", "anna", "--of", "clips")
    assert " 1  trains-1" in answer.stdout
    assert "the profile of the user does not count: there is no encoder of texts" in answer.stderr
    tell(transport, *(did(anna, "liked", film.item.removeprefix("clip/")) for film in FILMS[:2]))
    told = run("recommend", "anna", "--of", "clips").stdout
    assert "expected clips that the user does not know; `triptych index` or `triptych recommender import` adds" in told
