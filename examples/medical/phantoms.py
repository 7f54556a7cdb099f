"""Generated studies whose truth is known: an image as DICOM, a report as text, a record as a FHIR bundle.

Each finding is present or absent. Each source shows a sign of it with known probabilities, independently given the
finding. So the best possible AUROC and sensitivity of any reader are known for each subset of sources, by enumeration.
The phantoms are drawings of a chest. They resemble no patient, and say nothing about how a model would do on one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from random import Random
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

FINDINGS: Final = ("nodule", "effusion", "large_heart")
SOURCES: Final = ("image", "report", "record")
PREVALENCE: Final = 0.3
SPECIFICITY: Final = 0.95
_SIDE: Final = 128
_BITS: Final = 12


@dataclass(frozen=True, slots=True)
class SignRates:
    """Probability that a source shows the sign of a finding that is present, and of one that is absent."""

    present: float
    absent: float


RATES: Final[Mapping[str, Mapping[str, SignRates]]] = {
    "image": {
        "nodule": SignRates(0.80, 0.05),
        "effusion": SignRates(0.90, 0.05),
        "large_heart": SignRates(0.85, 0.10),
    },
    "report": {
        "nodule": SignRates(0.75, 0.03),
        "effusion": SignRates(0.70, 0.03),
        "large_heart": SignRates(0.60, 0.03),
    },
    "record": {
        "nodule": SignRates(0.70, 0.30),
        "effusion": SignRates(0.60, 0.20),
        "large_heart": SignRates(0.80, 0.15),
    },
}


@dataclass(frozen=True, slots=True)
class PhantomCeiling:
    """The best possible scores for one finding: the area under the ROC curve, and sensitivity at 95 % specificity."""

    auroc: float
    sensitivity: float


@dataclass(frozen=True, slots=True)
class Scanner:
    """How a scanner writes an image: gain, noise (standard deviation in stored units), blur, inverted, mirrored."""

    name: str
    gain: float = 1.0
    noise: float = 60.0
    blur: float = 0.0
    inverted: bool = False
    mirrored: bool = False


USUAL_SCANNER: Final = Scanner("usual")
OTHER_SCANNER: Final = Scanner("other", gain=0.75, noise=180.0, blur=1.5, inverted=True, mirrored=True)


@dataclass(frozen=True, slots=True)
class Phantom:
    """One study: its findings, and the signs that each source shows, both by the order of `FINDINGS`."""

    name: str
    findings: tuple[bool, ...]
    signs: Mapping[str, tuple[bool, ...]]


def phantom_ceiling(finding: str, sources: Sequence[str]) -> PhantomCeiling:
    """Return the best possible scores with these sources: those of the likelihood ratio (Neyman and Pearson, 1933)."""
    points = []
    for signs in product((True, False), repeat=len(sources)):
        chances = [(RATES[source][finding], sign) for source, sign in zip(sources, signs, strict=True)]
        present = prod(rates.present if sign else 1 - rates.present for rates, sign in chances)
        absent = prod(rates.absent if sign else 1 - rates.absent for rates, sign in chances)
        points.append((present, absent))
    points.sort(key=lambda point: point[0] / point[1], reverse=True)
    hits, alarms = (np.concatenate([[0.0], np.cumsum(column)]) for column in zip(*points, strict=True))
    return PhantomCeiling(float(np.trapezoid(hits, alarms)), float(np.interp(1 - SPECIFICITY, alarms, hits)))


def draw_phantom(name: str) -> Phantom:
    """Return the phantom of a name: the same one each time."""
    rng = Random(name)  # noqa: S311 - it draws examples and protects nothing
    findings = tuple(rng.random() < PREVALENCE for _ in FINDINGS)
    signs = {}
    for source in SOURCES:
        rates = [RATES[source][finding] for finding in FINDINGS]
        signs[source] = tuple(
            rng.random() < (one.present if there else one.absent) for one, there in zip(rates, findings, strict=True)
        )
    return Phantom(name, findings, signs)


def write_study(phantom: Phantom, folder: Path, scanner: Scanner = USUAL_SCANNER) -> None:
    """Write `image.dcm`, `report.txt` and `record.json` of a phantom into a new folder."""
    folder.mkdir(parents=True)
    rng = Random(f"{phantom.name}/{scanner.name}")  # noqa: S311 - as above
    dicom_of(draw_chest(phantom.signs["image"], rng), phantom.name, scanner, rng).save_as(
        folder / "image.dcm", enforce_file_format=True
    )
    (folder / "report.txt").write_text(report_of(phantom.signs["report"], rng), encoding="utf-8")
    bundle = record_of(phantom.signs["record"], phantom.name, rng)
    (folder / "record.json").write_text(json.dumps(bundle, indent=1), encoding="utf-8")


# --- the image --------------------------------------------------------------------------------------------------------


def draw_chest(signs: Sequence[bool], rng: Random) -> NDArray[np.float64]:
    """Return a drawn chest with the signs, float64 [128, 128] from 0 (dark) to 1 (bright)."""
    nodule, effusion, large_heart = signs
    chest = np.full((_SIDE, _SIDE), 0.15)
    cv2.ellipse(chest, (64, 66), (58, 60), 0, 0, 360, 0.6, -1)
    for x in (38, 90):  # the lungs
        cv2.ellipse(chest, (x, 62), (19 + rng.randrange(3), 40 + rng.randrange(5)), 0, 0, 360, 0.25, -1)
    width = rng.randrange(30, 35) if large_heart else rng.randrange(16, 21)
    cv2.ellipse(chest, (66, 84), (width, 20), 0, 0, 360, 0.75, -1)
    if effusion:
        x = rng.choice((38, 90))
        level = rng.randrange(80, 88)
        lung = np.zeros_like(chest)
        cv2.ellipse(lung, (x, 62), (20, 42), 0, 0, 360, 1.0, -1)
        lung[:level] = 0
        chest = np.where(lung > 0, 0.8, chest)
    if nodule:
        centre = (rng.choice((34, 92)) + rng.randrange(-7, 8), rng.randrange(34, 62))
        cv2.circle(chest, centre, rng.randrange(6, 9), 0.95, -1)
    return np.asarray(cv2.GaussianBlur(chest, (0, 0), 1.0), np.float64)


def dicom_of(chest: NDArray[np.float64], name: str, scanner: Scanner, rng: Random) -> FileDataset:
    """Return the image as a scanner would store it: 12 bits, a window, an orientation, and an invented patient."""
    noise = np.random.default_rng(rng.getrandbits(64))
    pixels = cv2.GaussianBlur(chest, (0, 0), scanner.blur) if scanner.blur else chest
    most = 2**_BITS - 1
    stored = np.clip(most * scanner.gain * pixels + noise.normal(0, scanner.noise, pixels.shape), 0, most)
    stored = stored[:, ::-1] if scanner.mirrored else stored
    stored = most - stored if scanner.inverted else stored
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name, scanner.name])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("image.dcm", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.PatientName, image.PatientID, image.PatientBirthDate = "Phantom^Invented", f"PHANTOM-{name}", "19500101"
    image.Modality, image.BurnedInAnnotation = "CR", "NO"
    image.InstitutionName, image.StudyDate = "Invented Hospital", "20260101"
    image.PatientOrientation = ["R" if scanner.mirrored else "L", "F"]
    image.Rows, image.Columns = stored.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME1" if scanner.inverted else "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, _BITS, _BITS - 1, 0
    image.WindowCenter, image.WindowWidth = most / 2, most
    image.private_block(0x0011, "TRIPTYCH EXAMPLE", create=True).add_new(0x01, "LO", "a private note")
    image.PixelData = np.rint(stored).astype("<u2").tobytes()
    return image


# --- the report and the record ----------------------------------------------------------------------------------------

_SEEN: Final = {
    "nodule": ("There is a round nodule in the {side} lung.", "A small nodule is seen on the {side}."),
    "effusion": ("Pleural effusion on the {side}.", "There is fluid above the {side} diaphragm."),
    "large_heart": ("The heart is enlarged.", "Cardiac silhouette wider than expected."),
}
_NOT_SEEN: Final = {
    "nodule": ("No nodule.", "Lungs without focal lesions."),
    "effusion": ("No pleural effusion.", "The costophrenic angles are free."),
    "large_heart": ("Heart of normal size.", "The heart is not enlarged."),
}


def report_of(signs: Sequence[bool], rng: Random) -> str:
    """Return a report that affirms or denies each finding, in a random order."""
    lines = [
        rng.choice((_SEEN if sign else _NOT_SEEN)[finding]).format(side=rng.choice(("left", "right")))
        for finding, sign in zip(FINDINGS, signs, strict=True)
    ]
    rng.shuffle(lines)
    return " ".join(lines)


def record_of(signs: Sequence[bool], name: str, rng: Random) -> dict[str, Any]:
    """Return a FHIR R4 bundle: a patient, and one observation whose value is a sign of each finding."""
    high = dict(zip(FINDINGS, signs, strict=True))
    values = (
        ("8664-5", "Cigarettes smoked total (pack per year)", "{PackYears}", 20.0, high["nodule"]),
        ("1988-5", "C reactive protein", "mg/L", 50.0, high["effusion"]),
        ("33762-6", "NT-proBNP", "pg/mL", 400.0, high["large_heart"]),
    )
    entries: list[dict[str, Any]] = [
        {
            "resourceType": "Patient",
            "id": name.replace("/", "-"),
            "name": [{"family": "Phantom", "given": ["Invented"]}],
            "gender": rng.choice(("female", "male")),
            "birthDate": f"{rng.randrange(1935, 1990)}-01-01",
        }
    ]
    for code, text, unit, limit, is_high in values:
        value = limit * (rng.uniform(1.2, 3.0) if is_high else rng.uniform(0.1, 0.8))
        entries.append({
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": text}]},
            "effectiveDateTime": "2026-01-01",
            "valueQuantity": {"value": round(value, 1), "unit": unit},
        })  # fmt: skip
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": entry} for entry in entries]}
