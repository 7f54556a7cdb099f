"""Integrated gradients (Sundararajan et al., 2017, arXiv 1703.01365) of a label's score, by Captum.

From a blurred picture, silence and tokens of no content to what is there, along a straight line: of pixels, of the
logarithm of the loudness at each time and frequency, of what the tokens of the words hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur  # type: ignore[import-untyped]

from triptych.models.network.collate import WindowBatch
from triptych.models.network.fused import FusedModel
from triptych.models.network.parts import Encoded

_STEPS = 32
_ROWS_AT_ONCE = 8
_FFT = 512
_HOP = 256
_SILENCE = 1e-4
"""Magnitude of a spectrum that nothing is heard in; also keeps logarithms and roots finite."""

Floats = NDArray[np.float32]
Score = Callable[[dict[str, Encoded]], Tensor]
"""The score that is to be explained, [R], of projected tokens."""


@dataclass(frozen=True, slots=True)
class Gradients:
    """What of one window spoke for a label, and against it where it is below zero.

    Attributes:
        pixels: [T, H, W]; None without pictures.
        spectrum: [F, S'], by frequency and time; None without sound.
        words: [N], of each token; None without words.
        gap: by how much all together miss the difference in the score that they should add up to.
    """

    pixels: Floats | None
    spectrum: Floats | None
    words: Floats | None
    gap: float


def integrated_gradients(model: FusedModel, batch: WindowBatch, score: Score) -> Gradients:
    """Explain a batch of one window. Frozen encoders must let gradients through."""
    inputs: dict[str, tuple[Tensor, Tensor]] = {}
    phase = None
    if batch.rows_with("video"):
        pictures = batch.video.float()
        inputs["video"] = pictures, _blurred(pictures)
    if batch.rows_with("audio"):
        spectrum = torch.stft(batch.audio, _FFT, _HOP, window=torch.hann_window(_FFT), return_complex=True)
        size = spectrum.abs() + _SILENCE
        phase = torch.polar(torch.ones_like(size), spectrum.angle())
        inputs["audio"] = size.log(), torch.full_like(size, _SILENCE).log()
    if batch.rows_with("text"):
        inputs["text"] = _words(model, batch)
    names = tuple(inputs)

    def forward(*given: Tensor) -> Tensor:
        return score(_encoded(model, batch, dict(zip(names, given, strict=True)), phase))

    method = IntegratedGradients(forward)
    found, gap = method.attribute(
        tuple(own for own, _ in inputs.values()),
        baselines=tuple(base for _, base in inputs.values()),
        n_steps=_STEPS,
        internal_batch_size=_ROWS_AT_ONCE,
        return_convergence_delta=True,
    )
    by_name = dict(zip(names, found, strict=True))
    return Gradients(
        pixels=_summed(by_name.get("video"), [-1]),
        spectrum=_summed(by_name.get("audio"), []),
        words=_summed(by_name.get("text"), [-1]),
        gap=float(gap.abs().max()),
    )


def _encoded(
    model: FusedModel, batch: WindowBatch, given: dict[str, Tensor], phase: Tensor | None
) -> dict[str, Encoded]:
    rows = next(iter(given.values())).shape[0]
    repeated = _repeated(batch, rows)
    if "video" in given:
        repeated = replace(repeated, video=given["video"])
    if phase is not None:
        sound = torch.istft(
            given["audio"].exp() * phase, _FFT, _HOP, window=torch.hann_window(_FFT), length=batch.audio.shape[1]
        )
        repeated = replace(repeated, audio=sound)
    tokens: dict[str, Encoded] = {name: model.encoders[name](repeated) for name in ("video", "audio") if name in given}
    encoded = _projected(model, tokens)
    if "text" in given:
        own = _projected(model, {"text": model.encoders["text"](repeated)})["text"]
        encoded["text"] = own._replace(tokens=given["text"])
    return encoded


def _words(model: FusedModel, batch: WindowBatch) -> tuple[Tensor, Tensor]:
    """Return the projected tokens of the words, and the same of tokens that hold nothing but their time."""
    with torch.no_grad():
        own = model.encoders["text"](batch)
        empty = own._replace(tokens=torch.zeros_like(own.tokens))
        return _projected(model, {"text": own})["text"].tokens, _projected(model, {"text": empty})["text"].tokens


def _projected(model: FusedModel, tokens: dict[str, Encoded]) -> dict[str, Encoded]:
    return tokens if model.projector is None else dict(model.projector(tokens))


def _blurred(pictures: Tensor) -> Tensor:
    side = pictures.shape[2] // 2 | 1
    blurred: Tensor = gaussian_blur(pictures[0].permute(0, 3, 1, 2), [side, side]).permute(0, 2, 3, 1).unsqueeze(0)
    return blurred


def _repeated(batch: WindowBatch, rows: int) -> WindowBatch:
    longer = batch.map_tensors(lambda tensor: tensor.expand(rows, *tensor.shape[1:]))
    return replace(
        longer,
        frame_counts=batch.frame_counts * rows,
        audio_spans=batch.audio_spans * rows,
        cue_counts=batch.cue_counts * rows,
    )


def _summed(found: Tensor | None, over: Sequence[int]) -> Floats | None:
    if found is None:
        return None
    numbers = found[0].detach()
    summed: Floats = (numbers.sum(list(over)) if over else numbers).float().numpy()
    return summed
