"""Put encoders on devices of their own, so that a model may be larger than one device, or use several.

What is fused is small: only tokens travel to the device of the fusion.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from triptych.models.network.collate import WindowBatch
from triptych.models.network.fused import FusedModel
from triptych.models.network.parts import Encoded, Encoder
from triptych.schemas.errors import UsageError


class PlacedEncoder(Encoder):
    """Run an encoder on another device than the rest of its model.

    Args:
        encoder: is moved there.
        device: where it runs.
        home: where its tokens are wanted.
    """

    def __init__(self, encoder: Encoder, device: torch.device, home: torch.device) -> None:
        super().__init__()
        self.dim = encoder.dim
        self.encoder = encoder.to(device)
        self._device, self._home = device, home

    def forward(self, batch: WindowBatch) -> Encoded:
        """Take the batch there, encode, and bring the tokens back."""
        encoded = self.encoder(batch.to(self._device, non_blocking=False))  # to a CPU one has to wait
        times = None if encoded.times is None else encoded.times.to(self._home)
        return Encoded(encoded.tokens.to(self._home), encoded.mask.to(self._home), times)


def place_encoders(network: nn.Module, devices: Mapping[str, torch.device], *, home: torch.device) -> None:
    """Move the encoders of modalities to devices; the others, and all else, stay at home.

    Raises:
        UsageError: the network has no encoder of such a modality.
    """
    models = [module for module in network.modules() if isinstance(module, FusedModel)]
    for modality, device in devices.items():
        known = {name for model in models for name in model.encoders}
        if modality not in known:
            raise UsageError(f"an encoder of {modality} cannot be placed; the model has: {', '.join(sorted(known))}")
        for model in models:
            encoder = model.encoders[modality]
            if device != home and isinstance(encoder, Encoder):
                model.encoders[modality] = PlacedEncoder(encoder, device, home)


def devices_of(text: str) -> dict[str, str]:
    """Return the devices by modality that a setting such as `video=cuda:0,text=cuda:1` names.

    Raises:
        UsageError: it is not written so.
    """
    devices: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        modality, sign, device = part.partition("=")
        if not (modality and sign and device):
            raise UsageError(f"encoder devices: expected MODALITY=DEVICE, as video=cuda:0, got {part!r}")
        devices[modality] = device
    return devices
