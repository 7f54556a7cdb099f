"""Models are built by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from triptych.models.build import ModelChoice, build_model
from triptych.schemas.errors import UsageError


def test_the_null_model_needs_no_torch() -> None:
    """Nor OpenCV: the flow can be tested without either."""
    code = (
        "import sys\n"
        "from triptych.models.build import ModelChoice, build_model\n"
        "assert build_model(ModelChoice('null', frames=3, window_ns=1)).spec.frames == 3\n"
        "assert not {'torch', 'torchvision', 'cv2'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """A user's mistake."""
    with pytest.raises(UsageError, match=r"no model is called 'bass'; there are: base, null, .*or the path"):
        build_model(ModelChoice("bass", frames=1, window_ns=1))


def test_a_path_that_is_not_there_is_not_taken_for_a_name() -> None:
    """The message names the file that is missing."""
    with pytest.raises(UsageError, match=r"weights/moods.json: cannot read the model card"):
        build_model(ModelChoice("weights/moods", frames=1, window_ns=1))
