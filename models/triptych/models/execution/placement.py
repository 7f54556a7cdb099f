"""Run encoders on other devices than the rest of a model, so that a model can use several devices.

Only tokens are copied to the device of the fusion. The fusion itself is small.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from triptych.models.network.collate import WindowBatch
from triptych.models.network.fused import FusedModel
from triptych.models.network.parts import Accelerate, Encoded, Encoder
from triptych.schemas.errors import UsageError


class PlacedEncoder(Encoder):
    """Run an encoder on another device than the rest of its model.

    Args:
        encoder: the encoder; it is moved to `device`.
        device: the device that the encoder runs on.
        home: the device that receives its tokens.
    """

    def __init__(self, encoder: Encoder, device: torch.device, home: torch.device) -> None:
        super().__init__()
        self.dim = encoder.dim
        self.encoder = encoder.to(device)
        self._device, self._home = device, home

    def forward(self, batch: WindowBatch) -> Encoded:
        """Copy the batch to the device, encode it, and copy the tokens float [B, N, D], mask and times [B, N] back."""
        encoded = self.encoder(
            batch.to(self._device, non_blocking=False)
        )  # a non-blocking copy to the CPU would not be complete
        times = None if encoded.times is None else encoded.times.to(self._home)
        return Encoded(encoded.tokens.to(self._home), encoded.mask.to(self._home), times)


def place_encoders(network: nn.Module, devices: Mapping[str, torch.device], *, home: torch.device) -> None:
    """Move the encoders of some modalities to their devices. Everything else stays on `home`.

    Raises:
        UsageError: the network has no encoder for one of the modalities.
    """
    models = [module for module in network.modules() if isinstance(module, FusedModel)]
    for modality, device in devices.items():
        known = {name for model in models for name in model.encoders}
        if modality not in known:
            raise UsageError(f"encoder devices: no encoder for {modality!r}; the model has: {', '.join(sorted(known))}")
        for model in models:
            encoder = model.encoders[modality]
            if device != home and isinstance(encoder, Encoder):
                model.encoders[modality] = PlacedEncoder(encoder, device, home)


def accelerate_encoders(network: nn.Module, accelerate: Accelerate) -> None:
    """Replace the frozen networks of the encoders that run on the home device by faster equivalents."""
    placed = {id(module.encoder) for module in network.modules() if isinstance(module, PlacedEncoder)}
    for module in list(network.modules()):
        if isinstance(module, Encoder) and id(module) not in placed:
            module.use_faster(accelerate)


def parse_encoder_devices(text: str) -> dict[str, str]:
    """Parse a setting such as `video=cuda:0,text=cuda:1` into device names by modality.

    Raises:
        UsageError: the text does not have this form.
    """
    devices: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        modality, sign, device = part.partition("=")
        if not (modality and sign and device):
            raise UsageError(f"encoder devices: expected MODALITY=DEVICE, such as video=cuda:0, got {part!r}")
        devices[modality] = device
    return devices
