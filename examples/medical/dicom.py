"""Read DICOM images for a model: as they are meant to be seen, and without what identifies a person.

Only listed attributes are kept; private ones, names, dates and identifiers are not. An image that may have text burned
into its pixels is refused, because no attribute can remove that.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import generate_uid

from triptych.schemas.errors import UsageError

KEPT_ATTRIBUTES: Final = frozenset({
    "BitsAllocated", "BitsStored", "BodyPartExamined", "BurnedInAnnotation", "Columns", "FrameTime", "HighBit",
    "LossyImageCompression", "Modality", "ModalityLUTSequence", "NumberOfFrames", "PatientOrientation",
    "PhotometricInterpretation", "PixelAspectRatio", "PixelData", "PixelRepresentation", "PixelSpacing",
    "PlanarConfiguration", "PresentationLUTShape", "RescaleIntercept", "RescaleSlope", "RescaleType", "Rows",
    "SOPClassUID", "SamplesPerPixel", "VOILUTFunction", "VOILUTSequence", "ViewPosition", "WindowCenter",
    "WindowWidth",
})  # fmt: skip
"""Keywords of the attributes that are kept. An allow list: an attribute that nobody thought of is removed."""

_KEPT_IN_SEQUENCES: Final = frozenset({"LUTData", "LUTDescriptor", "ModalityLUTType"})
"""The same within lookup tables, whose explanation is free text."""

_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOUR: Final = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"})
_COLOUR_BITS: Final = 8

_CLEAN_WITHOUT_A_STATEMENT: Final = frozenset({"CR", "DX", "CT", "MR", "MG"})
"""Modalities whose images rarely have burned-in text. Of others, such as US, an image must state that it has none."""
_MALFORMED: Final = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What pydicom and NumPy raise for attributes that are empty, of another type, or contradict one another."""
_MIRRORED: Final = frozenset({"R"})
_UPSIDE_DOWN: Final = frozenset({"H"})
_PERCENTILES: Final = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class DicomImage:
    """An image without identity.

    Attributes:
        frames: uint8 [F, H, W], or [F, H, W, 3] in colour; as displayed, with the patient's left on the right.
        modality: the DICOM modality, such as `CR` or `US`.
        frame_ms: time from frame to frame in milliseconds; None if it is not stated.
        is_oriented: whether the file states its orientation.
    """

    frames: NDArray[np.uint8]
    modality: str
    frame_ms: float | None
    is_oriented: bool


def read_dicom(path: Path) -> DicomImage:
    """Return the image of a file.

    Raises:
        UsageError: it is no DICOM image, or its pixels may have text burned into them.
    """
    try:
        dataset = pydicom.dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise UsageError(f"{path}: expected a DICOM file, got: {error}") from error
    except _MALFORMED as error:
        raise _malformed(str(path), error) from error
    return displayed(deidentified(dataset, str(path)), str(path))


def pseudonym(patient_id: str, key: bytes) -> str:
    """Return a name for a patient that only the owner of the key can connect with the id."""
    return hmac.new(key, patient_id.encode(), hashlib.sha256).hexdigest()[:16]


def deidentified(dataset: Dataset, source: str) -> Dataset:
    """Return a copy with only `KEPT_ATTRIBUTES`, a new UID and a statement of the removal.

    Raises:
        UsageError: there are no pixels, or they may have text burned into them.
    """
    if "PixelData" not in dataset:
        raise UsageError(f"{source}: expected an image, got DICOM without pixels")
    try:
        return _deidentified(dataset, source)
    except _MALFORMED as error:
        raise _malformed(source, error) from error


def _deidentified(dataset: Dataset, source: str) -> Dataset:
    _refuse_burned_in_text(dataset, source)
    kept = _only(dataset, KEPT_ATTRIBUTES)
    kept.SOPInstanceUID = generate_uid()
    kept.PatientIdentityRemoved = "YES"
    kept.DeidentificationMethod = "allow list of attributes"
    if meta := getattr(dataset, "file_meta", None):
        kept.file_meta = pydicom.dataset.FileMetaDataset()
        kept.file_meta.TransferSyntaxUID = meta.TransferSyntaxUID
    return kept


def _malformed(source: str, error: Exception) -> UsageError:
    return UsageError(f"{source}: expected a DICOM image, got one with a malformed attribute: {error!r}")


def _only(dataset: Dataset, keywords: Collection[str]) -> Dataset:
    """Return a dataset with the attributes of these keywords; sequences have those of `_KEPT_IN_SEQUENCES`."""
    kept = Dataset()
    for element in dataset:
        if element.keyword not in keywords or element.tag.is_private:
            continue
        if element.VR == "SQ":
            setattr(kept, element.keyword, [_only(item, _KEPT_IN_SEQUENCES) for item in element.value])
        else:
            kept.add(element)
    return kept


def displayed(dataset: Dataset, source: str) -> DicomImage:
    """Return the image as it is meant to be seen: modality LUT, VOI LUT, polarity and orientation applied.

    Raises:
        UsageError: the pixels cannot be decoded, are neither grey nor 8-bit colour, or do not fit what the file says.
    """
    try:
        return _displayed(dataset, source)
    except _MALFORMED as error:
        raise _malformed(source, error) from error


def _displayed(dataset: Dataset, source: str) -> DicomImage:
    colours, bits = str(dataset.get("PhotometricInterpretation", "")), int(dataset.get("BitsStored", 0))
    if colours not in _GREY and (colours not in _COLOUR or bits != _COLOUR_BITS):
        raise UsageError(f"{source}: expected grey pixels or 8-bit colour, got {bits} bits of {colours or 'nothing'}")
    try:
        stored = dataset.pixel_array
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UsageError(f"{source}: expected pixels that can be decoded, got: {error}") from error
    is_colour = colours in _COLOUR
    frames = stored if is_colour else _grey(stored, dataset)
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    shape = (count, int(dataset.Rows), int(dataset.Columns), *((3,) if is_colour else ()))
    if frames.size != np.prod(shape):
        raise UsageError(f"{source}: expected pixels of the shape {shape}, got {frames.shape}")
    frames = frames.reshape(shape)  # [F, H, W] or [F, H, W, 3]
    along_rows, along_columns = [*(str(way) for way in dataset.get("PatientOrientation", [])), "", ""][:2]
    if along_rows[:1] in _MIRRORED:
        frames = frames[:, :, ::-1]
    if along_columns[:1] in _UPSIDE_DOWN:
        frames = frames[:, ::-1]
    frame_ms = float(dataset.get("FrameTime") or 0)
    return DicomImage(
        frames=np.ascontiguousarray(frames, np.uint8),
        modality=str(dataset.get("Modality", "")),
        frame_ms=frame_ms if 0 < frame_ms < math.inf else None,
        is_oriented=bool(along_rows),
    )


def _grey(stored: NDArray[np.generic], dataset: Dataset) -> NDArray[np.uint8]:
    """Return grey levels uint8 of stored values, white for the densest."""
    values = apply_modality_lut(stored, dataset)
    low, high = _range(values, dataset)
    seen = apply_voi_lut(values, _with_wide_table(dataset)).astype(np.float64)
    grey = np.clip((seen - low) / max(high - low, 1e-9), 0, 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    return cast("NDArray[np.uint8]", np.rint(255 * grey).astype(np.uint8))


def _with_wide_table(dataset: Dataset) -> Dataset:
    """Return the dataset with a VOI LUT of 16 bits: with 8, pydicom 3.0 cuts the indices to 8 bits as well."""
    if "VOILUTSequence" not in dataset:
        return dataset
    table = copy.deepcopy(dataset.VOILUTSequence[0])
    table.LUTDescriptor = [*table.LUTDescriptor[:2], 16]
    changed = copy.copy(dataset)
    changed.VOILUTSequence = [table]
    return changed


def _range(values: NDArray[np.generic], dataset: Dataset) -> tuple[float, float]:
    """Return the values that are shown black and white."""
    if "VOILUTSequence" in dataset:
        return 0.0, float(2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    if "WindowWidth" in dataset:  # pydicom maps the window to the whole range of stored values
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
        levels = 2 ** int(dataset.BitsStored)
        least = -levels // 2 if dataset.PixelRepresentation else 0
        ends = slope * least + intercept, slope * (least + levels - 1) + intercept
        return min(ends), max(ends)  # a negative slope turns them
    low, high = np.percentile(values.astype(np.float64), _PERCENTILES)
    return float(low), float(high)


def _refuse_burned_in_text(dataset: Dataset, source: str) -> None:
    stated = str(dataset.get("BurnedInAnnotation", "")).upper()
    modality = str(dataset.get("Modality", ""))
    if stated == "YES":
        raise UsageError(f"{source}: refused: the file states that text is burned into its pixels")
    if stated != "NO" and modality not in _CLEAN_WITHOUT_A_STATEMENT:
        raise UsageError(
            f"{source}: refused: expected BurnedInAnnotation NO for an image of modality {modality or 'unknown'}, got "
            f"{stated or 'no statement'}"
        )
