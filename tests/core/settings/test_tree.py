"""The tree of settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from triptych.schemas import names
from triptych.settings.loading import load
from triptych.settings.section import SettingsError
from triptych.settings.tree import Settings


def test_a_hop_longer_than_the_window_is_an_error() -> None:
    """Records would fall between two windows."""
    with pytest.raises(SettingsError, match=r"TRIPTYCH_WINDOW_HOP_MS: hop_ms must be at most size_ms \(2000\)"):
        load(environ={"TRIPTYCH_WINDOW_HOP_MS": "2001"})


def test_the_tree_is_immutable() -> None:
    """Assignment to a field raises."""
    settings = load(environ={})

    with pytest.raises(ValidationError):
        settings.kafka.bootstrap_servers = "elsewhere:1"  # type: ignore[misc]


def test_the_pipelines_name_follows_the_contract() -> None:
    """`settings` cannot import `schemas`, so it repeats the default and the pattern."""
    field = Settings.model_fields["pipeline"]

    assert field.default == names.DEFAULT_PIPELINE
    assert names.PIPELINE_PATTERN in repr(field.metadata)
