"""MELD: utterances of *Friends* with emotion and sentiment. A dialogue is a group; the cast is in every split."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final, Literal

from triptych.training.data.adapters.formats.media_files import FILMS, MediaFiles
from triptych.training.data.adapters.formats.tables import read_rows
from triptych.training.data.adapters.gathering import Gather, Gathered, Row
from triptych.training.data.manifest import Labels, Split

_SPLITS: Final[Mapping[str, tuple[Split, str]]] = {
    "train": ("train", "train_splits"),
    "dev": ("validation", "dev_splits_complete"),
    "test": ("test", "output_repeated_splits_test"),
}
"""Our split, and the folder of its clips, by the authors' name of the split."""
_LABELS: Final = {
    "Emotion": ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
    "Sentiment": ("negative", "neutral", "positive"),
}


def meld(column: Literal["Emotion", "Sentiment"]) -> Gather:
    """Return the adapter for MELD with the labels of one of its two columns."""
    return partial(_gather, column)


def _gather(column: Literal["Emotion", "Sentiment"], root: Path, _: Path) -> Gathered:
    name = "meld" if column == "Emotion" else "meld-sentiment"
    gathered = Gathered(Labels(name=name, labels=_LABELS[column]))
    files = MediaFiles(root)
    for theirs, (split, folder) in _SPLITS.items():
        table = next(iter(sorted(root.rglob(f"{theirs}_sent_emo.csv"))), root / f"{theirs}_sent_emo.csv")
        for cells in read_rows(table, ("Utterance", "Dialogue_ID", "Utterance_ID", column)):
            stem = f"dia{cells['Dialogue_ID']}_utt{cells['Utterance_ID']}"
            label_name = cells[column].strip().lower()
            if label_name not in _LABELS[column]:
                gathered.problems.append(f"{theirs}/{stem}: expected one of {_LABELS[column]}, got {label_name!r}")
                continue
            clip = files.find(stem, FILMS, within=folder)
            if clip is None:
                gathered.problems.append(f"{theirs}/{stem}: clip is missing from {folder}")
            gathered.rows.append(
                Row(
                    f"{theirs}/{stem}", group=f"{theirs}/dia{cells['Dialogue_ID']}", split=split, video=clip,
                    audio=clip, text=cells["Utterance"], label=_LABELS[column].index(label_name),
                )
            )  # fmt: skip
    return gathered
