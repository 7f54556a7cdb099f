"""The shipped weights are those that were converted, and damage is reported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from tools.ship_detectors import center_face_conv_order, ssd_conv_order
from triptych.models.detection import shipped_weights
from triptych.models.detection.center_face import CenterFace
from triptych.models.detection.shipped_weights import (
    CENTER_FACE,
    FOLDER,
    OPEN_IMAGES_SSD,
    ShippedWeights,
    load_shipped_weights,
)
from triptych.models.detection.ssd import OpenImagesSsd
from triptych.schemas.errors import UsageError

WEIGHTS = [OPEN_IMAGES_SSD, CENTER_FACE]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_file_and_its_notice_name_the_original(weights: ShippedWeights) -> None:
    """Its source, licence and checksum."""
    with safe_open(weights.path, framework="np") as stored:
        about = json.loads(stored.metadata()["about"])
    assert about == {
        "licence": weights.licence,
        "original_sha256": weights.original_sha256,
        "source": weights.source,
    }
    notice = (FOLDER / "NOTICE.md").read_text(encoding="utf-8")
    assert f"## `{weights.name}`" in notice
    assert weights.original_sha256 in notice


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_damaged_file_is_rejected(weights: ShippedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both checksums, and what to do."""
    content = bytearray(weights.path.read_bytes())
    content[-1] ^= 1
    monkeypatch.setattr(shipped_weights, "FOLDER", tmp_path)
    (tmp_path / weights.name).write_bytes(content)
    with pytest.raises(UsageError, match=f"expected the SHA-256 {weights.sha256}, got .*; install triptych again"):
        load_shipped_weights(weights)


def test_a_missing_file_is_reported() -> None:
    """With its path."""
    with pytest.raises(UsageError, match=r"gone.safetensors: No such file or directory; install triptych again"):
        load_shipped_weights(replace(CENTER_FACE, name="gone.safetensors"))


def test_the_converter_names_every_convolution_of_the_networks() -> None:
    """In the order of the original files; the landmarks are left out."""
    for order, network in ((ssd_conv_order(), OpenImagesSsd()), (center_face_conv_order(), CenterFace())):
        names = [name for name in order if name != "landmarks"]
        assert len(names) == len(set(names))
        assert {f"{name}.{part}" for name in names for part in ("weight", "bias")} == set(network.state_dict())
