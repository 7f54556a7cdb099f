"""Encoders on other devices. PyTorch's `meta` device, which has shapes but no data, stands in for a second device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from triptych.models.build import ModelChoice, build_model
from triptych.models.checkpoints.card import Card
from triptych.models.checkpoints.checkpoint import save_checkpoint
from triptych.models.execution.placement import PlacedEncoder, parse_encoder_devices, place_encoders
from triptych.models.network.architecture import Network
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.parts import Encoded, Encoder
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.settings.tree import ModelSettings

CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.fixture
def batch(
    small_card: Callable[..., Card], small_network: Callable[..., Network], noise_window: Callable[..., PreparedWindow]
) -> WindowBatch:
    """Return a batch of two windows."""
    empty = empty_batch(2, 32_000, small_card().input.spec())
    return collate([noise_window(seed) for seed in range(2)], empty, small_network().tokenize)


def test_an_encoder_runs_where_it_was_placed(small_network: Callable[..., Network], batch: WindowBatch) -> None:
    """Video and audio encoders stay on the CPU, the rest is on the second device. The outputs have the right shapes."""
    model = small_network().model
    tokens = model.encoders["video"](batch).tokens
    seen: dict[str, Encoded] = {}
    parts = {modality: cast("Encoder", encoder) for modality, encoder in model.encoders.items()}
    model.to(META)
    parts |= {name: cast("Encoder", small_network().model.encoders[name]) for name in ("audio", "video")}
    parts["video"].register_forward_hook(lambda _module, _given, output: seen.update(video=output))
    for modality, encoder in parts.items():
        model.encoders[modality] = PlacedEncoder(encoder, META if modality == "text" else CPU, META)
    output = model(batch)["mood"]

    assert output.device == META
    assert output.shape == (2, 3)
    assert {parameter.device for parameter in model.encoders["video"].parameters()} == {CPU}
    assert {parameter.device for parameter in model.encoders["text"].parameters()} == {META}
    torch.testing.assert_close(seen["video"].tokens, tokens)


def test_placement_changes_no_output(small_network: Callable[..., Network], batch: WindowBatch) -> None:
    """Only encoders with another device than the rest are wrapped."""
    model, placed = small_network().model, small_network().model
    place_encoders(nn.Sequential(placed), {"video": CPU, "text": CPU}, home=torch.device("cpu", 0))

    assert [name for name, one in placed.encoders.items() if isinstance(one, PlacedEncoder)] == ["text", "video"]
    torch.testing.assert_close(placed(batch)["mood"], model(batch)["mood"], rtol=0, atol=0)


def test_the_setting_reaches_the_encoders(
    tmp_path: Path, small_card: Callable[..., Card], small_network: Callable[..., Network]
) -> None:
    """The worker's setting is applied. Unknown modalities and devices are errors."""
    save_checkpoint(tmp_path, small_network().model, small_card())

    def build(devices: str) -> None:
        settings = ModelSettings(name=str(tmp_path), encoder_devices=devices)
        build_model(
            ModelChoice(
                settings.name, frames=1, window_ns=2_000_000_000, device="cpu", encoder_devices=settings.encoder_devices
            )
        ).warm()

    build("video=cpu, text=cpu")
    with pytest.raises(UsageError, match="no encoder for 'smell'; the model has: audio, text, video"):
        build("smell=cpu")
    with pytest.raises(UsageError, match="device 'cuda:99' does not exist"):
        build("video=cuda:99")


@pytest.mark.parametrize("text", ["video", "video=", "=cpu", "video=cpu,text"])
def test_a_malformed_setting_is_an_error(text: str) -> None:
    """The error message shows the expected form."""
    with pytest.raises(UsageError, match="expected MODALITY=DEVICE"):
        parse_encoder_devices(text)
