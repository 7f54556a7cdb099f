"""Which models may replace the one in service."""

from __future__ import annotations

import pytest

from tests.worker.serving.models import SPEC, WINDOW_NS, TextModel
from triptych.models.model import InputSpec
from triptych.worker.errors import ModelRefusedError
from triptych.worker.serving.candidate import make_ready


def test_a_compatible_model_is_warmed_up() -> None:
    """It may use more text tokens: windows contain the whole text."""
    model = TextModel("next", spec=InputSpec(4, 32, 32, 16_000, text_tokens=64))
    make_ready(model, SPEC, WINDOW_NS)
    assert model.warmed == 1


def test_a_model_with_other_inputs_is_rejected_before_warm_up() -> None:
    """The message has each difference with both values."""
    model = TextModel("next", spec=InputSpec(8, 32, 64, 16_000))
    with pytest.raises(ModelRefusedError, match="frames 8 instead of 4, width 64 instead of 32"):
        make_ready(model, SPEC, WINDOW_NS)
    assert model.warmed == 0


def test_a_model_that_predicts_nan_is_rejected() -> None:
    """The weights of a diverged training load and run without an error."""
    with pytest.raises(ModelRefusedError, match="expected finite numbers for a test window, got NaN or infinity"):
        make_ready(TextModel("next", float("nan")), SPEC, WINDOW_NS)
