"""Models are built by name."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from triptych.models import build
from triptych.models.build import ModelChoice, build_model
from triptych.models.checkpoints.card import Architecture, Card, EncoderCard, FusionCard, HeadCard, InputCard
from triptych.models.checkpoints.checkpoint import save_checkpoint
from triptych.models.execution.warmup_window import full_window
from triptych.models.network.architecture import build_network
from triptych.models.window import DetectionPicture
from triptych.schemas.errors import UsageError

PICTURES = Path(__file__).parents[1] / "data" / "pictures"


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


@pytest.mark.parametrize(
    ("name", "window_ns", "problem"),
    [
        ("bass", 10**9, "no model is called 'bass'"),
        ("weights/moods", 10**9, "cannot read the model card"),
        ("content", 1, "was trained on windows of"),
    ],
)
def test_a_wrong_model_is_reported_before_the_detector_is_built(
    name: str, window_ns: int, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes seconds, and minutes for a foundation model."""
    built = list[ModelChoice]()
    monkeypatch.setattr(build, "_build_detector", built.append)
    with pytest.raises(UsageError, match=problem):
        build_model(ModelChoice(name, frames=1, window_ns=window_ns, device="cpu", detector="auto"))
    assert not built


def test_a_trained_model_gets_the_default_detector(tmp_path: Path) -> None:
    """It finds the astronaut; the checkpoint knows nothing of it. Without pictures there is no detector."""
    architecture = Architecture(
        width=16,
        encoders={"audio": EncoderCard(kind="small"), "text": EncoderCard(kind="small")},
        fusion=FusionCard(name="late"),
        heads=(HeadCard(name="mood", kind="multiclass", labels=("sad", "plain", "glad")),),
    )
    shape = InputCard(frames=1, height=16, width=16, sample_rate_hz=16_000, text_tokens=8, window_ns=10**9)
    card = Card(name="moods", version="1", input=shape, architecture=architecture, weights_sha256="0" * 64)
    torch.manual_seed(1)
    saved = save_checkpoint(tmp_path, build_network(architecture, weights_folder=tmp_path).model, card)
    choice = ModelChoice(str(tmp_path), 1, 10**9, device="cpu", threads=1, runtime="torch", detector="auto", pictures=2)
    model, alone = build_model(choice), build_model(replace(choice, pictures=0))

    assert (alone.info.sha256, alone.spec.detection) == (saved.sha256(), None)
    assert model.info.sha256 != saved.sha256()
    assert model.spec.detection is not None
    assert model.spec.detection.pictures == 2
    rgb = cv2.imread(str(PICTURES / "astronaut.jpg"))[..., ::-1]
    height, width = rgb.shape[:2]
    picture = DetectionPicture(np.ascontiguousarray(rgb, np.uint8), time_ns=7, width=width, height=height)
    (prediction,) = model.predict([replace(full_window(10**9, alone.spec), pictures=(picture,))])
    assert prediction.predictions is not None
    assert {detection.label for detection in prediction.detections or ()} >= {"person", "face"}
