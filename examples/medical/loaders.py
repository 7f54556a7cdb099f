"""Read the layouts of MedMNIST, MIMIC-CXR and NIH ChestX-ray14 as studies with findings. Nothing is downloaded.

Tested with small files of the same layout. The data sets themselves were not read here: their owners give access to
them, under terms that whoever uses them must keep.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from examples.medical.studies import Study, model_picture
from triptych.schemas.errors import UsageError
from triptych.training.data.manifest import Split, split_of

_MEDMNIST_SPLITS: Final[Mapping[str, Split]] = {"train": "train", "val": "validation", "test": "test"}
_MIMIC_SPLITS: Final[Mapping[str, Split]] = {"train": "train", "validate": "validation", "test": "test"}
_FRONTAL: Final = frozenset({"PA", "AP"})
_NOTHING: Final = "No Finding"


@dataclass(frozen=True, slots=True)
class LabelledStudy:
    """A study of a data set.

    Attributes:
        study: the study; its record is None, because none of these layouts has one.
        split: its split.
        group: the patient, or the study itself where patients are unknown; a group is in one split.
        findings: the names of the findings that are present.
    """

    study: Study
    split: Split
    group: str
    findings: frozenset[str]


def read_medmnist(path: Path, labels: Mapping[int, str]) -> Iterator[LabelledStudy]:
    """Yield the studies of a MedMNIST file: arrays `train_images`, `train_labels`, and so for `val` and `test`.

    Args:
        path: the `.npz` file.
        labels: names of the labels: of the columns of a multilabel file, of the values of another one.

    Raises:
        UsageError: the file is not of this layout.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: expected a MedMNIST file, got: {error}") from error
    for prefix, split in _MEDMNIST_SPLITS.items():
        names = (f"{prefix}_images", f"{prefix}_labels")
        if any(name not in arrays for name in names):
            raise UsageError(f"{path}: expected {' and '.join(names)}, got {', '.join(sorted(arrays))}")
        images, targets = (arrays[name] for name in names)
        for number, (image, target) in enumerate(zip(images, targets, strict=True)):
            name = f"{prefix}-{number}"
            indices = np.flatnonzero(target) if len(target) > 1 else target  # [K] flags, or one value
            findings = frozenset(labels[int(index)] for index in indices if int(index) in labels)
            yield LabelledStudy(Study(name, model_picture(image), None, None), split, name, findings)


def read_mimic_cxr(folder: Path) -> Iterator[LabelledStudy]:
    """Yield the frontal studies of MIMIC-CXR-JPG with its reports.

    It reads `mimic-cxr-2.0.0-split.csv`, `-metadata.csv` and `-chexpert.csv` (each also as `.gz`) and, below `files/`,
    `p10/p10000032/s50414267/ID.jpg` and `p10/p10000032/s50414267.txt`. Labels that are uncertain (-1) or blank are not
    counted as present. Images that are missing here are skipped: few have all of them.

    Raises:
        UsageError: a table is missing.
    """
    views = {row["dicom_id"]: row.get("ViewPosition", "") for row in _rows(folder, "mimic-cxr-2.0.0-metadata.csv")}
    findings = {
        row["study_id"]: frozenset(name for name, value in row.items() if value in {"1", "1.0"} and name != _NOTHING)
        for row in _without_ids(_rows(folder, "mimic-cxr-2.0.0-chexpert.csv"))
    }
    for row in _rows(folder, "mimic-cxr-2.0.0-split.csv"):
        patient, study_id = f"p{row['subject_id']}", f"s{row['study_id']}"
        place = folder / "files" / patient[:3] / patient / study_id
        image = place / f"{row['dicom_id']}.jpg"
        if views.get(row["dicom_id"]) not in _FRONTAL or row["study_id"] not in findings or not image.is_file():
            continue
        report = place.with_suffix(".txt")
        text = report.read_text(encoding="utf-8") if report.is_file() else None
        study = Study(row["dicom_id"], _picture(image), text, None)
        yield LabelledStudy(study, _MIMIC_SPLITS[row["split"]], patient, findings[row["study_id"]])


def read_nih(folder: Path) -> Iterator[LabelledStudy]:
    """Yield the studies of NIH ChestX-ray14.

    It reads `Data_Entry_2017.csv` (or `Data_Entry_2017_v2020.csv`), `test_list.txt`, and images in any folder below.
    Patients of the official test list are the test split; the others are divided by patient into training and
    validation.

    Raises:
        UsageError: a table is missing.
    """
    images = {path.name: path for path in folder.rglob("*.png")}
    listed = folder / "test_list.txt"
    if not listed.is_file():
        raise UsageError(f"{listed}: expected the list of test images, found none")
    test = set(listed.read_text(encoding="utf-8").split())
    for row in _rows(folder, "Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"):
        name, patient = row["Image Index"], row["Patient ID"]
        if name not in images:
            continue
        split: Split = "test" if name in test else _not_test(patient)
        findings = frozenset(row["Finding Labels"].split("|")) - {_NOTHING}
        yield LabelledStudy(Study(name, _picture(images[name]), None, None), split, patient, findings)


def _not_test(patient: str) -> Split:
    split = split_of(patient)
    return "train" if split == "test" else split


def _picture(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise UsageError(f"{path}: expected an image, got something else")
    return model_picture(np.asarray(picture, np.uint8))


def _rows(folder: Path, *names: str) -> list[dict[str, str]]:
    """Return the rows of the first table that exists, plain or compressed."""
    for name in names:
        plain, compressed = folder / name, folder / f"{name}.gz"
        if plain.is_file():
            with plain.open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        if compressed.is_file():
            with gzip.open(compressed, "rt", encoding="utf-8", newline="") as file:
                return list(csv.DictReader(cast("TextIO", file)))
    raise UsageError(f"{folder}: expected {' or '.join(names)}, found none")


def _without_ids(rows: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Yield the rows without the patient, whose number could be 1."""
    for row in rows:
        yield {name: value for name, value in row.items() if name != "subject_id"}
