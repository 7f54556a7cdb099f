"""Tokens of the stamps from the frozen encoders: computed once and cached. The head is trained on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.models.network.architecture import Network
from triptych.models.network.collate import collate, empty_batch
from triptych.models.network.parts import Encoded, Encoder
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.training.content_model.collection import ENGLISH, LANGUAGES, Stamp
from triptych.training.content_model.windows import SPEC
from triptych.training.data.example import Example
from triptych.training.data.pools.cache import TrackProgress

ALL_LANGUAGES: Final = (ENGLISH, *sorted(LANGUAGES.values()))
Picture = NDArray[np.uint8]
_CHUNK: Final = 16
_SMALLER: Final = 0.6
_PLACE: Final = 0.25
_TINTS: Final = ((214, 226, 236), (238, 228, 206), (120, 132, 124), (232, 214, 222))


@dataclass(frozen=True, slots=True)
class StampFeatures:
    """Tokens of all stamps, on the CPU. The fields are those of the cached file.

    Attributes:
        video: float32 [N, V, 1280], of the unchanged picture (first) and of its variants.
        text: float32 [N, L, 512], of the caption in each of `ALL_LANGUAGES`.
        has_text: bool [N, L], which captions exist.
        audio: float32 [N, S, 128].
        audio_mask: bool [N, S], which audio steps exist; none for a stamp without sound.
        label: int64 [N].
        groups: int64 [N], number of the motif.
    """

    video: Tensor
    text: Tensor
    has_text: Tensor
    audio: Tensor
    audio_mask: Tensor
    label: Tensor
    groups: Tensor

    def save(self, path: Path) -> None:
        """Write the arrays to an NPZ file."""
        np.savez(path, allow_pickle=False, **{name: getattr(self, name).numpy() for name in self.__slots__})

    @classmethod
    def load(cls, path: Path) -> StampFeatures:
        """Read the arrays from an NPZ file."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: torch.from_numpy(arrays[name]) for name in cls.__slots__})


def encode_stamps(
    stamps: Sequence[Stamp], examples: Sequence[Example], network: Network, track: TrackProgress[Any]
) -> StampFeatures:
    """Run the frozen encoders on windows of stamps and on variants of them. Both sequences have the same order."""
    windows = [example.window for example in examples]
    views = [
        _tokens(network, "video", [_with_first_frame(one, view) for one in windows], track)[0][:, 0] for view in VIEWS
    ]
    captions = [_captions(network, stamps, windows, language, track) for language in ALL_LANGUAGES]
    audio, audio_mask = _tokens(network, "audio", windows, track)
    motifs = sorted({stamp.motif for stamp in stamps})
    return StampFeatures(
        video=torch.stack(views, 1),
        text=torch.stack([tokens for tokens, _ in captions], 1),
        has_text=torch.stack([there for _, there in captions], 1),
        audio=audio,
        audio_mask=audio_mask,
        label=torch.tensor([int(example.target) for example in examples]),  # type: ignore[arg-type]
        groups=torch.tensor([motifs.index(stamp.motif) for stamp in stamps]),
    )


def _captions(
    network: Network,
    stamps: Sequence[Stamp],
    windows: Sequence[PreparedWindow],
    language: str,
    track: TrackProgress[Any],
) -> tuple[Tensor, Tensor]:
    captioned = [
        _with_caption(window, stamp.captions.get(language)) for stamp, window in zip(stamps, windows, strict=True)
    ]
    tokens, mask = _tokens(network, "text", captioned, track)
    return tokens[:, 0], mask[:, 0]


def _with_caption(window: PreparedWindow, caption: str | None) -> PreparedWindow:
    cues = () if caption is None else (PreparedCue(caption, window.start_ns, window.end_ns),)
    return replace(window, cues=cues)


@torch.inference_mode()
def _tokens(
    network: Network, modality: str, windows: Sequence[PreparedWindow], track: TrackProgress[Any]
) -> tuple[Tensor, Tensor]:
    """Return tokens of one modality, float32 [N, T, D], and which exist, bool [N, T]. T is the maximum."""
    encoder = cast("Encoder", network.model.encoders[modality].eval())
    buffer = empty_batch(_CHUNK, len(windows[0].audio_f32), SPEC)
    parts: list[Encoded] = []
    for first in track(range(0, len(windows), _CHUNK), modality):
        chunk = windows[first : first + _CHUNK]
        batch = collate([_only(modality, window) for window in chunk], buffer, network.tokenize)
        if batch.rows_with(modality):
            encoded: Encoded = encoder(batch)
            parts.append(Encoded(encoded.tokens[: len(chunk)].float().clone(), encoded.mask[: len(chunk)].clone()))
        else:
            dim = encoder.dim
            parts.append(Encoded(torch.zeros(len(chunk), 1, dim), torch.zeros(len(chunk), 1, dtype=torch.bool)))
    most = max(part.mask.shape[1] for part in parts)
    grown = [most - part.mask.shape[1] for part in parts]
    pad = torch.nn.functional.pad
    tokens = torch.cat([pad(part.tokens, (0, 0, 0, more)) for part, more in zip(parts, grown, strict=True)])
    mask = torch.cat([pad(part.mask, (0, more)) for part, more in zip(parts, grown, strict=True)])
    return torch.where(mask.unsqueeze(-1), tokens, 0.0), mask


def _only(modality: str, window: PreparedWindow) -> PreparedWindow:
    """Return the window with one modality, so that nothing else is collated."""
    return replace(
        window,
        frames_hwc_u8=window.frames_hwc_u8 if modality == "video" else (),
        frame_times_ns=window.frame_times_ns if modality == "video" else (),
        audio_present=window.audio_present if modality == "audio" else (),
        cues=window.cues if modality == "text" else (),
    )


def _with_first_frame(window: PreparedWindow, view: Callable[[Picture, int], Picture]) -> PreparedWindow:
    index = sum(window.frames_hwc_u8[0][::56, ::56].ravel().tolist())  # differs between pictures and is repeatable
    return replace(window, frames_hwc_u8=(view(window.frames_hwc_u8[0], index), *window.frames_hwc_u8[1:]))


def _unchanged(picture: Picture, _: int) -> Picture:
    return picture


def _mirrored(picture: Picture, _: int) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1])


def _smaller(picture: Picture, index: int) -> Picture:
    """Shrink the picture and place it somewhere on a tinted background."""
    side = len(picture)
    small = cv2.resize(picture, None, fx=_SMALLER, fy=_SMALLER, interpolation=cv2.INTER_AREA)
    tint = np.array(_TINTS[index % len(_TINTS)], np.float64)
    page = np.empty_like(picture)
    page[:] = tint.astype(np.uint8)
    top, left = (int(side * _PLACE * (index // step % 5) / 4) for step in (4, 20))
    page[top : top + small.shape[0], left : left + small.shape[1]] = np.rint(small * (tint / 255)).astype(np.uint8)
    return page


VIEWS: Final[tuple[Callable[[Picture, int], Picture], ...]] = (_unchanged, _mirrored, _smaller)
"""Variants of a picture that do not change what it shows. The first changes nothing."""
