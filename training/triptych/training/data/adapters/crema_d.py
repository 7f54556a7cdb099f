"""CREMA-D: 91 actors say 12 sentences in 6 emotions. Raters judged audio and video separately."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.training.data.adapters.formats.media_files import FILMS, SOUNDS, MediaFiles
from triptych.training.data.adapters.formats.tables import read_rows
from triptych.training.data.adapters.gathering import Gathered, Row
from triptych.training.data.manifest import Labels

_NAME: Final = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX|X)")
_EMOTIONS: Final = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
_CODES: Final = tuple(_EMOTIONS)
_VOTES: Final = {code[0]: index for index, code in enumerate(_CODES)}
_SENTENCES: Final = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}


def crema_d(root: Path, _: Path) -> Gathered:
    """Gather CREMA-D: the label is the acted emotion; the label of each modality is the raters' majority vote."""
    gathered = Gathered(Labels(name="crema-d", labels=tuple(_EMOTIONS.values())))
    files = MediaFiles(root)
    votes = _votes(root, gathered)
    for stem in files.stems:
        parts = _NAME.fullmatch(stem)
        if parts is None or parts[3] not in _EMOTIONS:
            gathered.problems.append(f"{stem}: expected a name like 1001_DFA_ANG_XX")
            continue
        film = files.find(stem, FILMS)
        sound = files.find(stem, SOUNDS) or film
        if film is None:
            gathered.problems.append(f"{stem}: film is missing")
        gathered.rows.append(
            Row(
                stem, group=parts[1], label=_CODES.index(parts[3]), video=film, audio=sound,
                text=_SENTENCES.get(parts[2]), label_per_modality=votes.get(stem),
            )
        )  # fmt: skip
    return gathered


def _votes(root: Path, gathered: Gathered) -> Mapping[str, Mapping[str, int]]:
    """Return the raters' majority votes by clip and modality, where there is a majority."""
    try:
        rows = read_rows(root / "processedResults" / "summaryTable.csv", ("FileName", "VoiceVote", "FaceVote"))
    except UsageError as error:
        gathered.problems.append(f"no labels by modality: {error}")
        return {}
    columns = {"audio": "VoiceVote", "video": "FaceVote"}
    votes = {
        row["FileName"]: {modality: _VOTES[row[name]] for modality, name in columns.items() if row[name] in _VOTES}
        for row in rows
    }
    return {name: voted for name, voted in votes.items() if voted}
