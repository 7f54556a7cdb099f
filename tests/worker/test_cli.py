"""The command `triptych work`: topics that are missing are created where that is wanted."""

from __future__ import annotations

import sys

import pytest
import typer

from triptych.settings.loading import load
from triptych.settings.tree import Settings
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.topics import missing_topics
from triptych.worker import cli


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> MemoryTransport:
    """A broker without topics, in place of Kafka."""
    found = MemoryTransport()
    monkeypatch.setattr("triptych.transport.open.open_transport", lambda _: found)
    return found


@pytest.fixture
def settings() -> Settings:
    """The settings of another pipeline."""
    return load(overrides={"pipeline": "candidate"}, environ={})


def missing(transport: MemoryTransport) -> list[str]:
    """Return the topics that the pipeline lacks."""
    return missing_topics(transport.admin(), "candidate")


@pytest.mark.parametrize(("answer", "left"), [(True, 0), (False, 5)])
def test_on_a_terminal_it_asks(
    transport: MemoryTransport, settings: Settings, monkeypatch: pytest.MonkeyPatch, *, answer: bool, left: int
) -> None:
    """The question names the pipeline and its topics; a second time there is nothing to ask."""
    questions: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        questions.append(question)
        return answer

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", confirm)

    cli.provide_topics(settings, without_asking=False)

    assert len(missing(transport)) == left
    assert "Pipeline candidate has no topic triptych.video" in questions[0]
    assert "candidate.results" in questions[0]
    cli.provide_topics(settings, without_asking=False)
    assert len(questions) == (1 if answer else 2)


def test_elsewhere_topics_are_created_on_demand_only(
    transport: MemoryTransport, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service is never asked, and a mistyped name creates nothing."""
    cli.provide_topics(settings, without_asking=False)
    assert len(missing(transport)) == 5
    cli.provide_topics(settings, without_asking=True)
    assert missing(transport) == []
    assert "candidate.dead: created with 6 partitions" in capsys.readouterr().err
