"""RAVDESS: 24 actors speak and sing two sentences in 8 emotions. File names hold all annotations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from triptych.training.data.adapters.formats.media_files import MediaFiles
from triptych.training.data.adapters.gathering import Gathered, Row
from triptych.training.data.manifest import Labels

_NAME: Final = re.compile(r"0([1-3])-(0[12]-0([1-8])-0[12]-0([12])-0[12]-(\d\d))")
"""Modality (both, video, audio); then the performance: channel, emotion, intensity, sentence, take, actor."""
_EMOTIONS: Final = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_SENTENCES: Final = ("Kids are talking by the door.", "Dogs are sitting by the door.")
_BOTH, _PICTURE, _SOUND = "1", "2", "3"


def ravdess(root: Path, _: Path) -> Gathered:
    """Gather RAVDESS: a row for each performance, which may exist as a film, a silent film and an audio file."""
    gathered = Gathered(Labels(name="ravdess", labels=_EMOTIONS))
    files = MediaFiles(root)
    performances: dict[str, dict[str, Path]] = {}
    for stem in files.stems:
        parts = _NAME.fullmatch(stem)
        file = files.find(stem, {".mp4", ".wav"})
        if parts is None or file is None:
            gathered.problems.append(f"{stem}: expected a name like 01-01-06-01-02-01-12, and .mp4 or .wav")
        else:
            performances.setdefault(parts[2], {})[parts[1]] = file
    for name, by_modality in performances.items():
        _channel, emotion, _intensity, sentence, _take, actor = name.split("-")
        film = by_modality.get(_BOTH)
        gathered.rows.append(
            Row(
                name, group=actor, label=int(emotion) - 1, text=_SENTENCES[int(sentence) - 1],
                video=film or by_modality.get(_PICTURE), audio=film or by_modality.get(_SOUND),
            )
        )  # fmt: skip
    return gathered
