"""The SSD equals the original, and its boxes are decoded correctly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.models.detection.shipped_weights import OPEN_IMAGES_SSD, load_shipped_weights
from triptych.models.detection.ssd import LABELS, OpenImagesSsd, decode_boxes, ssd_anchors

Photo = Callable[[str], NDArray[np.uint8]]
Outputs = Mapping[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def network() -> OpenImagesSsd:
    """Return the network with its weights."""
    network = OpenImagesSsd().eval()
    network.load_state_dict(load_shipped_weights(OPEN_IMAGES_SSD))
    return network


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
@torch.inference_mode()
def test_the_outputs_equal_the_originals(
    network: OpenImagesSsd, photo: Photo, original_outputs: Outputs, name: str
) -> None:
    """Those of LiteRT, within 1e-4; float16 is how the original is stored, so nothing is rounded."""
    stretched = cv2.resize(photo(name), (300, 300), interpolation=cv2.INTER_LINEAR)
    picture = torch.from_numpy(stretched).permute(2, 0, 1)[None].float() / 127.5 - 1
    boxes, logits = network(picture)
    anchors = torch.from_numpy(original_outputs[f"{name}_anchors"]).long()
    original_boxes = torch.from_numpy(original_outputs[f"{name}_boxes"])
    original_logits = torch.from_numpy(original_outputs[f"{name}_logits"])
    assert (boxes.shape, logits.shape) == ((1, 1917, 4), (1, 1917, 1 + len(LABELS)))
    torch.testing.assert_close(boxes[0, anchors], original_boxes, rtol=0, atol=1e-4)
    torch.testing.assert_close(logits[0, anchors], original_logits, rtol=0, atol=1e-4)


def test_the_anchors_are_those_of_the_object_detection_api() -> None:
    """Three for each position of the first map, six for each of the others; the last one is of the whole picture."""
    anchors = ssd_anchors()
    assert anchors.shape == (19 * 19 * 3 + (100 + 25 + 9 + 4 + 1) * 6, 4)
    half_a_step = 0.5 / 19
    torch.testing.assert_close(anchors[0], torch.tensor([half_a_step, half_a_step, 0.1, 0.1]))
    torch.testing.assert_close(anchors[1], torch.tensor([half_a_step, half_a_step, 0.2 / 2**0.5, 0.2 * 2**0.5]))
    torch.testing.assert_close(anchors[3], torch.tensor([half_a_step, 3 * half_a_step, 0.1, 0.1]))
    torch.testing.assert_close(anchors[-6], torch.tensor([0.5, 0.5, 0.95, 0.95]))
    torch.testing.assert_close(anchors[-1], torch.tensor([0.5, 0.5, 0.95**0.5, 0.95**0.5]))


def test_a_box_without_offsets_is_its_anchor() -> None:
    """As left, top, right and bottom edge."""
    anchor = torch.tensor([[0.4, 0.5, 0.2, 0.6]])
    decoded = decode_boxes(torch.zeros(1, 4), anchor)
    torch.testing.assert_close(decoded, torch.tensor([[0.2, 0.3, 0.8, 0.5]]))


def test_offsets_move_and_scale_the_box() -> None:
    """Ten units move the centre by one side of the anchor, five times the logarithm scales a side."""
    anchor = torch.tensor([[0.4, 0.5, 0.2, 0.1]])
    encoded = torch.tensor([[10.0, -10.0, 5 * math.log(2.0), 5 * math.log(0.5)]])
    # Centre y 0.4 + 0.2, x 0.5 - 0.1; height 0.4, width 0.05.
    torch.testing.assert_close(decode_boxes(encoded, anchor), torch.tensor([[0.375, 0.4, 0.425, 0.8]]))
