"""Models are built by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from triptych.models.build import ModelChoice, build_model
from triptych.schemas.errors import UsageError


def test_the_null_model_needs_no_torch() -> None:
    """The null model imports neither torch nor OpenCV."""
    code = (
        "import sys\n"
        "from triptych.models.build import ModelChoice, build_model\n"
        "assert build_model(ModelChoice('null', frames=3, window_ns=1)).spec.frames == 3\n"
        "assert not {'torch', 'torchvision', 'cv2'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_error_that_lists_the_known_names() -> None:
    """The error message lists the known names."""
    with pytest.raises(UsageError, match=r"no model is called 'bass'; there are: base, null, .*or the path"):
        build_model(ModelChoice("bass", frames=1, window_ns=1))


def test_a_missing_path_is_not_mistaken_for_a_name() -> None:
    """The error message names the missing file."""
    with pytest.raises(UsageError, match=r"weights/moods.json: cannot read the model card"):
        build_model(ModelChoice("weights/moods", frames=1, window_ns=1))
