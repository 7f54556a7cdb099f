"""EfficientNet-Lite0 equals the original and labels images correctly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.models.base import base_spec
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.parts import Features
from triptych.models.pretrained.efficientnet import ImageEncoder, LabelHead
from triptych.models.pretrained.weights import EFFICIENTNET_LITE0, load_labels, load_weights
from triptych.models.window import PreparedWindow

LOGITS = Path(__file__).parents[2] / "data" / "pictures" / "efficientnet_lite0_logits.npz"
# The ImageNet label of each image (tests/data/pictures/CREDITS.md).
SHOWN = {"cat": "Egyptian cat", "coffee": "espresso", "rocket": "missile"}

Picture = Callable[[str], NDArray[np.uint8]]
MakeWindow = Callable[..., PreparedWindow]


@pytest.fixture(scope="module")
def weights(weights_folder: Path) -> dict[str, torch.Tensor]:
    """Return the original state dict."""
    return load_weights(EFFICIENTNET_LITE0, weights_folder)


def batch_of(windows: list[PreparedWindow]) -> WindowBatch:
    """Collate windows of two frames into a batch of four rows."""
    return collate(windows, empty_batch(4, 32_000, base_spec(2)))


@pytest.mark.parametrize("name", SHOWN)
@torch.inference_mode()
def test_the_logits_equal_the_originals(
    weights: dict[str, torch.Tensor], picture: Picture, make_window: MakeWindow, name: str
) -> None:
    """The expected logits were recorded from the original network.

    Folding the batch norms only causes rounding errors.
    """
    encoder, head = ImageEncoder(weights).eval(), LabelHead(weights)
    tokens, mask, _ = encoder(batch_of([make_window([picture(name)])]))
    assert mask[0].tolist() == [True, False]
    original = torch.from_numpy(np.load(LOGITS)[name])
    torch.testing.assert_close(head.fc(tokens[0, 0]), original, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", SHOWN)
@torch.inference_mode()
def test_the_right_label_is_among_the_five_best(
    *, weights: dict[str, torch.Tensor], weights_folder: Path, picture: Picture, make_window: MakeWindow, name: str
) -> None:
    """For images of known content."""
    encoder, head = ImageEncoder(weights).eval(), LabelHead(weights)
    scores = head(Features({"video": encoder(batch_of([make_window([picture(name)])]))}, None))
    labels = load_labels(EFFICIENTNET_LITE0, weights_folder)
    assert SHOWN[name] in [labels[index] for index in scores[0].topk(5).indices.tolist()]


@torch.inference_mode()
def test_running_only_present_frames_gives_the_same_tokens(
    weights: dict[str, torch.Tensor], picture: Picture, make_window: MakeWindow
) -> None:
    """The first is done on a CPU, the second on a GPU."""
    cat, coffee, rocket = (picture(name) for name in SHOWN)
    batch = batch_of([make_window([cat, coffee]), make_window(), make_window([rocket])])
    encoder, head = ImageEncoder(weights).eval(), LabelHead(weights)
    all_frames, present_frames = (
        head(Features({"video": encoder(replace(batch, is_dense=is_dense))}, None)) for is_dense in (True, False)
    )
    torch.testing.assert_close(present_frames, all_frames, rtol=1e-4, atol=1e-6)
    assert all_frames[1].sum() == 0


@torch.inference_mode()
def test_the_scores_of_a_window_are_the_mean_over_its_frames(
    weights: dict[str, torch.Tensor], picture: Picture, make_window: MakeWindow
) -> None:
    """Masked frames do not count."""
    encoder, head = ImageEncoder(weights).eval(), LabelHead(weights)
    cat, rocket = picture("cat"), picture("rocket")
    batch = batch_of([make_window([cat]), make_window([rocket]), make_window([cat, rocket])])
    scores = head(Features({"video": encoder(batch)}, None))
    torch.testing.assert_close(scores[2], (scores[0] + scores[1]) / 2, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(scores[:3].sum(1), torch.ones(3))
