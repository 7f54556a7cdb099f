"""Which models may take over."""

from __future__ import annotations

import pytest

from tests.worker.serving.models import SPEC, WINDOW_NS, TextModel
from triptych.models.model import InputSpec
from triptych.worker.errors import ModelRefusedError
from triptych.worker.serving.candidate import make_ready


def test_a_model_that_fits_is_warm_afterwards() -> None:
    """It may read more of the words: windows hold all of them."""
    model = TextModel("next", spec=InputSpec(4, 32, 32, 16_000, text_tokens=64))
    make_ready(model, SPEC, WINDOW_NS)
    assert model.warmed == 1


def test_a_model_that_wants_other_windows_is_refused_before_it_is_warmed() -> None:
    """The reason names each difference and both numbers."""
    model = TextModel("next", spec=InputSpec(8, 32, 64, 16_000))
    with pytest.raises(ModelRefusedError, match="frames 8 instead of 4, width 64 instead of 32"):
        make_ready(model, SPEC, WINDOW_NS)
    assert model.warmed == 0


def test_a_model_whose_answers_are_no_numbers_is_refused() -> None:
    """Weights of a training that diverged are read and run without an error."""
    with pytest.raises(ModelRefusedError, match="no number"):
        make_ready(TextModel("next", float("nan")), SPEC, WINDOW_NS)
