"""Build a joint space from the files of a foundation model. This is the only module that selects the adapter."""

from __future__ import annotations

from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

import torch

from triptych.models.foundation.encoders.clap import SOUND_ARCHITECTURES, ClapEncoder
from triptych.models.foundation.encoders.joint_encoder import PictureEncoder, SoundEncoder
from triptych.models.foundation.encoders.open_clip_pictures import OpenClipPictures
from triptych.models.foundation.encoders.sentence_transformers_pictures import (
    SENTENCE_TRANSFORMERS,
    SentenceTransformersPictures,
)
from triptych.models.foundation.encoders.transformers_pictures import PICTURE_ARCHITECTURES, TransformersPictures
from triptych.models.foundation.files.model_files import ModelFiles, find_model_files
from triptych.models.foundation.files.model_source import ModelSource
from triptych.models.foundation.window_space import PictureSpace, SoundSpace
from triptych.models.pretrained.silero import SAMPLE_RATE_HZ
from triptych.schemas.errors import UsageError

_lock: Final = Lock()
_spaces: Final[WeakValueDictionary[tuple[str, str, str, int], PictureSpace | SoundSpace]] = WeakValueDictionary()


def build_foundation_space(
    source: ModelSource | str | ModelFiles, device: torch.device, *, window_rate_hz: int = SAMPLE_RATE_HZ
) -> PictureSpace | SoundSpace:
    """Load the space of a foundation model. Blocks while all files are read twice: to verify and to load them.

    The space of the same files on the same device is loaded once in a process, and shared while it is in use: by a
    model, by the texts of prompts, and by a model that is loaded again.

    Args:
        source: where its files are.
        device: the device to run on.
        window_rate_hz: sample rate of the windows' audio.

    Raises:
        UsageError: the files are not on this machine, were changed, or hold no model that has a space of windows.
    """
    files = source if isinstance(source, ModelFiles) else find_model_files(source)
    key = (str(files.source), files.sha256, str(device), window_rate_hz)
    with _lock:
        space = _spaces.get(key)
        if space is None:
            space = _spaces[key] = _loaded(files, device, window_rate_hz)
        return space


def _loaded(files: ModelFiles, device: torch.device, window_rate_hz: int) -> PictureSpace | SoundSpace:
    if files.architecture in SOUND_ARCHITECTURES:
        return SoundSpace(sound_encoder(files, device), files, window_rate_hz=window_rate_hz)
    return PictureSpace(picture_encoder(files, device), files)


def picture_encoder(files: ModelFiles, device: torch.device) -> PictureEncoder:
    """Load an encoder of pictures and texts.

    Raises:
        UsageError: the files hold no such model.
    """
    if files.architecture == "open_clip":
        return OpenClipPictures(files, device)
    if files.architecture == SENTENCE_TRANSFORMERS:
        return SentenceTransformersPictures(files, device)
    if files.architecture in PICTURE_ARCHITECTURES:
        return TransformersPictures(files, device)
    raise _unfit(files, "pictures and texts", (*PICTURE_ARCHITECTURES, "open_clip", SENTENCE_TRANSFORMERS))


def sound_encoder(files: ModelFiles, device: torch.device) -> SoundEncoder:
    """Load an encoder of sounds and texts.

    Raises:
        UsageError: the files hold no such model.
    """
    if files.architecture in SOUND_ARCHITECTURES:
        return ClapEncoder(files, device)
    raise _unfit(files, "sounds and texts", SOUND_ARCHITECTURES)


def _unfit(files: ModelFiles, what: str, known: tuple[str, ...]) -> UsageError:
    return UsageError(
        f"{files.source}: expected a model of {what} ({', '.join(known)}), got one of the type {files.architecture}"
    )
