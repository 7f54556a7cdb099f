"""Integrated gradients (Sundararajan et al., 2017, arXiv 1703.01365) of a label's score, computed with Captum.

The path is a straight line from a baseline (blurred frames, silence, empty text tokens) to the input. Attributions are
for pixels, for the log magnitudes of the spectrogram, and for text tokens.
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
"""Magnitude of a silent spectrogram. It also keeps logarithms and roots finite."""

Floats = NDArray[np.float32]
Score = Callable[[dict[str, Encoded]], Tensor]
"""Computes the score to explain, float [R], from projected tokens [R, N, D] by modality."""


@dataclass(frozen=True, slots=True)
class Gradients:
    """The attributions of one window; negative values count against the label.

    Attributes:
        pixels: float32 [T, H, W]; None without video.
        spectrum: float32 [frequencies, times]; None without audio.
        words: float32 [N], one per text token; None without text.
        gap: the difference between the sum of all attributions and the difference in the score.
    """

    pixels: Floats | None
    spectrum: Floats | None
    words: Floats | None
    gap: float


def integrated_gradients(model: FusedModel, batch: WindowBatch, score: Score) -> Gradients:
    """Explain the score of a batch with one window (B = 1).

    Frozen encoders must have been set up to compute gradients.
    """
    inputs: dict[str, tuple[Tensor, Tensor]] = {}
    phase = None
    if batch.rows_with("video"):
        frames = batch.video.float()  # [1, T, H, W, 3]
        inputs["video"] = frames, _blurred(frames)
    if batch.rows_with("audio"):
        spectrum = torch.stft(batch.audio, _FFT, _HOP, window=torch.hann_window(_FFT), return_complex=True)
        magnitude = spectrum.abs() + _SILENCE  # [1, frequencies, times]
        phase = torch.polar(torch.ones_like(magnitude), spectrum.angle())
        inputs["audio"] = magnitude.log(), torch.full_like(magnitude, _SILENCE).log()
    if batch.rows_with("text"):
        inputs["text"] = _text_tokens(model, batch)
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
    """Return the projected tokens [R, N, D] by modality for R interpolated inputs.

    Args:
        model: the model.
        batch: the window (B = 1), which supplies masks and times.
        given: the interpolated inputs: `video` float [R, T, H, W, 3], `audio` log magnitudes float [R, frequencies,
            times], `text` projected tokens float [R, N, D].
        phase: phase of the spectrogram, complex [1, frequencies, times]; None without audio.
    """
    rows = next(iter(given.values())).shape[0]
    repeated = _repeated(batch, rows)
    if "video" in given:
        repeated = replace(repeated, video=given["video"])
    if phase is not None:
        audio = torch.istft(
            given["audio"].exp() * phase, _FFT, _HOP, window=torch.hann_window(_FFT), length=batch.audio.shape[1]
        )
        repeated = replace(repeated, audio=audio)
    tokens: dict[str, Encoded] = {name: model.encoders[name](repeated) for name in ("video", "audio") if name in given}
    encoded = _projected(model, tokens)
    if "text" in given:
        own = _projected(model, {"text": model.encoders["text"](repeated)})["text"]
        encoded["text"] = own._replace(tokens=given["text"])
    return encoded


def _text_tokens(model: FusedModel, batch: WindowBatch) -> tuple[Tensor, Tensor]:
    """Return the projected text tokens, and those of tokens that contain only their time: float [1, N, D] each."""
    with torch.no_grad():
        own = model.encoders["text"](batch)
        empty = own._replace(tokens=torch.zeros_like(own.tokens))
        return _projected(model, {"text": own})["text"].tokens, _projected(model, {"text": empty})["text"].tokens


def _projected(model: FusedModel, tokens: dict[str, Encoded]) -> dict[str, Encoded]:
    return tokens if model.projector is None else dict(model.projector(tokens))


def _blurred(frames: Tensor) -> Tensor:
    """Return strongly blurred frames, float [1, T, H, W, 3]."""
    side = frames.shape[2] // 2 | 1
    blurred: Tensor = gaussian_blur(frames[0].permute(0, 3, 1, 2), [side, side]).permute(0, 2, 3, 1).unsqueeze(0)
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
    """Sum attributions [1, ...] over the given dimensions of their only row; None if there are none."""
    if found is None:
        return None
    numbers = found[0].detach()
    summed: Floats = (numbers.sum(list(over)) if over else numbers).float().numpy()
    return summed
