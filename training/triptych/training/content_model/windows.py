"""From stamps to a manifest, and from the manifest to windows, by the same code as for any clip.

A picture is laid on a white background. Only the first two seconds of a sound are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec
from triptych.models.pretrained.efficientnet import INPUT_PIXELS
from triptych.models.pretrained.silero import SAMPLE_RATE_HZ
from triptych.schemas.errors import UsageError
from triptych.training.content_model.collection import ENGLISH, Stamp, label_names
from triptych.training.data.example import Example, Task
from triptych.training.data.labelled_windows import ReadClip, labelled_windows, task_of
from triptych.training.data.manifest import Item, Labels, Manifest, TimedText, split_of
from triptych.training.data.pools.cache import TrackProgress
from triptych.units import NS_PER_S

NAME: Final = "content"
WINDOW_NS: Final = 2_000_000_000
SPEC: Final = InputSpec(
    frames=4, height=INPUT_PIXELS, width=INPUT_PIXELS, sample_rate_hz=SAMPLE_RATE_HZ, text_tokens=256
)
_PAPER: Final = 255
_PICTURES: Final = "pictures"
_OPAQUE_CHANNELS: Final = 3


def manifest_of_stamps(stamps: Sequence[Stamp], folder: Path) -> Manifest:
    """Return a manifest of stamps with English captions, and write the pictures on white background into the folder.

    Raises:
        UsageError: a picture cannot be read.
    """
    labels = label_names(stamps)
    items = []
    for stamp in stamps:
        picture = Path(_PICTURES) / f"{stamp.id.replace('/', '-')}.png"
        (folder / picture).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / picture), on_paper(_read(stamp.picture)))
        seconds = WINDOW_NS / NS_PER_S
        items.append(
            Item(
                id=stamp.id, split=split_of(stamp.motif), group=stamp.motif, t1=seconds, video=picture.as_posix(),
                audio=None if stamp.sound is None else str(stamp.sound.resolve()),
                text=(TimedText(t0=0.0, t1=seconds, text=stamp.captions[ENGLISH]),), label=labels.index(stamp.label),
            )
        )  # fmt: skip
    return Manifest(folder, Labels(name=NAME, labels=labels), tuple(items))


def task_of_stamps(manifest: Manifest) -> Task:
    """Return the task: the labels, and how windows are prepared."""
    return task_of(manifest, SPEC, WINDOW_NS)


def windows_of_stamps(manifest: Manifest, read: ReadClip, track: TrackProgress[Any]) -> Iterator[Example]:
    """Yield one window for each stamp.

    Raises:
        UsageError: a stamp does not give exactly one window.
    """
    task = task_of_stamps(manifest)
    for item in track(manifest.items, "windows"):
        outcome = labelled_windows(item, manifest.folder, task, read)
        if len(outcome.examples) != 1:
            raise UsageError(f"{item.id}: expected one window, got {len(outcome.examples)}: {outcome.problems}")
        yield outcome.examples[0]


def on_paper(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture as uint8 [H, W, 3], with transparent pixels white.

    Args:
        picture: uint8 or uint16 [H, W] (grey), [H, W, 3] or [H, W, 4] (with alpha).
    """
    scaled = picture.astype(np.float64) / np.iinfo(picture.dtype).max
    if scaled.ndim == 2:  # noqa: PLR2004 - grey
        scaled = np.stack([scaled] * _OPAQUE_CHANNELS, -1)
    colour, rest = scaled[..., :_OPAQUE_CHANNELS], scaled[..., _OPAQUE_CHANNELS:]
    opaque = rest if rest.shape[-1] else np.ones_like(scaled[..., :1])
    return np.rint((colour * opaque + 1 - opaque) * _PAPER).astype(np.uint8)


def _read(path: Path) -> NDArray[Any]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise UsageError(f"{path}: expected a PNG picture, got something that cannot be decoded")
    return picture
