"""The commands `triptych topics create` and `triptych topics check`, against a real broker."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest
from typer.testing import CliRunner

from triptych.schemas.errors import UsageError
from triptych.settings.kafka import KafkaSettings
from triptych.transport.cli import app
from triptych.transport.errors import TopicMisconfiguredError
from triptych.transport.kafka.transport import KafkaTransport


def run(*args: str) -> str:
    """Run a command and return its output; errors are raised."""
    result = CliRunner().invoke(app, args)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_topics_are_created_checked_and_fixed(kafka_bootstrap: str) -> None:
    """A second run finds nothing to do. A changed setting is reported, and the named command fixes it."""
    pipeline = f"cli-{uuid.uuid4().hex[:8]}"
    where = ("--pipeline", pipeline, "--bootstrap-servers", kafka_bootstrap)

    made = run("create", *where, "--retention", "2h")

    assert f"{pipeline}.results: created with" in made
    assert f"{pipeline}.dead: created with" in made
    assert run("create", *where) == "nothing to do\n"
    assert run("check", *where) == "all 9 topics have the required settings\n"
    with closing(KafkaTransport(KafkaSettings(bootstrap_servers=kafka_bootstrap))) as transport:
        admin = transport.admin()
        states = admin.describe([f"{pipeline}.results", "triptych.video"])
        assert states[f"{pipeline}.results"].configs["retention.ms"] == "7200000"
        assert states[f"{pipeline}.results"].partitions == states["triptych.video"].partitions
        admin.alter(f"{pipeline}.results", {"message.timestamp.type": "CreateTime"})

    with pytest.raises(TopicMisconfiguredError) as wrong:
        run("check", *where)
    assert wrong.value.exit_code == 2
    assert str(wrong.value) == (
        f"{pipeline}.results: expected message.timestamp.type LogAppendTime, found CreateTime; "
        f"`triptych topics create --pipeline {pipeline}` fixes it"
    )
    assert run("create", *where) == f"{pipeline}.results: message.timestamp.type set to LogAppendTime\n"
    run("check", *where)


def test_an_invalid_duration_is_rejected_before_connecting() -> None:
    """It is a usage error."""
    with pytest.raises(UsageError, match="retention"):
        run("create", "--retention", "soon", "--bootstrap-servers", "127.0.0.1:1")
