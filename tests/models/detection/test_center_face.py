"""CenterFace equals the original, and its boxes are decoded correctly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.models.detection.center_face import CenterFace, decode_faces
from triptych.models.detection.shipped_weights import CENTER_FACE, load_shipped_weights

Photo = Callable[[str], NDArray[np.uint8]]
Outputs = Mapping[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def network() -> CenterFace:
    """Return the network with its weights."""
    network = CenterFace().eval()
    network.load_state_dict(load_shipped_weights(CENTER_FACE))
    return network


@pytest.fixture(scope="module", params=["astronaut", "coffee"])
def predicted(network: CenterFace, photo: Photo, request: pytest.FixtureRequest) -> tuple[str, torch.Tensor]:
    """Return the name of a photograph, and score and geometry of each position, float32 [P, 5]."""
    resized = cv2.resize(photo(request.param), (320, 224), interpolation=cv2.INTER_LINEAR)
    with torch.inference_mode():
        logits, geometry = network(torch.from_numpy(resized).permute(2, 0, 1)[None].float())
    assert (logits.shape, geometry.shape) == ((1, 56, 80), (1, 56, 80, 4))
    return request.param, torch.cat([logits.sigmoid()[..., None], geometry], -1).reshape(-1, 5)


def recorded(outputs: Outputs, name: str, weights: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the recorded positions, int [K], and their scores and geometry, float32 [K, 5]."""
    scores, geometry = outputs[f"{name}_{weights}_scores"], outputs[f"{name}_{weights}_geometry"]
    return torch.from_numpy(outputs[f"{name}_positions"]).long(), torch.from_numpy(np.c_[scores, geometry])


def test_the_outputs_equal_the_originals(predicted: tuple[str, torch.Tensor], original_outputs: Outputs) -> None:
    """Those of onnxruntime with the same rounded weights."""
    name, outputs = predicted
    positions, originals = recorded(original_outputs, name, "rounded")
    torch.testing.assert_close(outputs[positions], originals, rtol=0, atol=1e-4)


def test_float16_hardly_changes_the_scores(predicted: tuple[str, torch.Tensor], original_outputs: Outputs) -> None:
    """Compared with the weights as they were published."""
    name, outputs = predicted
    positions, originals = recorded(original_outputs, name, "original")
    torch.testing.assert_close(outputs[positions, 0], originals[:, 0], rtol=0, atol=3e-3)


def test_a_box_is_centred_in_its_position() -> None:
    """A position is a square of 4 x 4 pixels; sizes are logarithms in positions."""
    geometry = torch.tensor([[0.0, 0.0, math.log(3.0), math.log(2.0)], [0.5, -0.5, 0.0, 0.0]])
    boxes = decode_faces(geometry, torch.tensor([2, 0]), torch.tensor([5, 1]))
    # Centre (5.5, 2.5), width 2, height 3; centre (1, 1), width 1, height 1; times 4.
    torch.testing.assert_close(boxes, torch.tensor([[18.0, 4.0, 26.0, 16.0], [2.0, 2.0, 6.0, 6.0]]))
