"""Studies as windows for the project's networks: the image as a frame, the report as text, the record as a vector."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from examples.medical.dicom import read_dicom
from examples.medical.records import VECTOR_DIMS, StructuredRecord, read_record
from triptych.models.model import FeatureShape, InputSpec
from triptych.models.window import PreparedCue, PreparedWindow

SIDE: Final = 64
RECORD: Final = "record"
WINDOW_NS: Final = 1_000_000_000
SPEC: Final = InputSpec(1, SIDE, SIDE, 16_000, 96, features=(FeatureShape(RECORD, 1, VECTOR_DIMS),))
INPUT_NAMES: Final = {"image": "video", "report": "text", "record": RECORD}
"""The names of the sources in the network."""

_NO_SOUND: Final = np.zeros(1, np.float32)


@dataclass(frozen=True, slots=True)
class Study:
    """What is known of one study. A source that is missing is None.

    Attributes:
        name: name of the study, without identity.
        image: grey levels uint8 [64, 64].
        report: text of the report.
        record: values of the record.
    """

    name: str
    image: NDArray[np.uint8] | None
    report: str | None
    record: StructuredRecord | None

    def only(self, sources: Collection[str]) -> Study:
        """Return the study with these sources only (`image`, `report`, `record`)."""
        return replace(
            self,
            image=self.image if "image" in sources else None,
            report=self.report if "report" in sources else None,
            record=self.record if "record" in sources else None,
        )


def read_study(folder: Path) -> Study:
    """Return the study of a folder with any of `image.dcm`, `report.txt` and `record.json`.

    Raises:
        UsageError: a file cannot be read, or its image is refused.
    """
    image, report, record = (folder / name for name in ("image.dcm", "report.txt", "record.json"))
    return Study(
        name=folder.name,
        image=model_picture(read_dicom(image).frames[0]) if image.is_file() else None,
        report=report.read_text(encoding="utf-8") if report.is_file() else None,
        record=read_record(record) if record.is_file() else None,
    )


def model_picture(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a frame [H, W] or [H, W, 3] in the size of the model, grey, uint8 [64, 64]."""
    grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)  # noqa: PLR2004
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def study_window(study: Study) -> PreparedWindow:
    """Return the study as a window. A missing source is empty, and masked in the network."""
    picture = () if study.image is None else (np.repeat(study.image[..., np.newaxis], 3, axis=2),)
    cues = () if not study.report else (PreparedCue(study.report, 0, WINDOW_NS),)
    return PreparedWindow(
        stream=study.name,
        start_ns=0,
        end_ns=WINDOW_NS,
        frames_hwc_u8=picture,
        frame_times_ns=(0,) * len(picture),
        audio_f32=_NO_SOUND,
        audio_present=(),
        cues=cues,
        features={} if study.record is None else {RECORD: study.record.vector()},
    )


def study_windows(studies: Sequence[Study]) -> list[PreparedWindow]:
    """Return the windows of studies, in order."""
    return [study_window(study) for study in studies]
