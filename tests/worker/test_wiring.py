"""The choice of a model from the settings."""

from __future__ import annotations

import pytest

from triptych.models.build import ModelChoice
from triptych.settings.loading import load
from triptych.worker import wiring


@pytest.fixture(autouse=True)
def _choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is not built: its choice stands for it. The container has a number of CPUs of its own."""
    monkeypatch.setattr(wiring, "build_model", lambda choice: choice)
    monkeypatch.setattr(wiring, "model_threads", lambda: 7)


@pytest.mark.parametrize(("setting", "threads"), [(None, 7), (3, 3)])
def test_the_cpus_decide_about_threads_unless_the_setting_does(setting: int | None, threads: int) -> None:
    """PyTorch's own default knows no quota."""
    choice = wiring.model_from(load(overrides={"model.threads": setting}, environ={}))

    assert isinstance(choice, ModelChoice)
    assert choice.threads == threads
