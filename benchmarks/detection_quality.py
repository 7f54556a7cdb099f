"""How good the default detector is on known pictures: `python -m benchmarks.detection_quality [FOLDER …]`.

`detection_truth.json` says what photographs and frames of clips show, judged by eye: points on faces and heads, and the
labels of the other things. The sample clips are in the repository. The other media are looked for in installed packages
(scikit-image, scikit-learn, Ultralytics, Gradio) and by name in the folders. What is absent is skipped, and said.

It prints precision and recall with 95 % Wilson intervals, by how much the count of people is wrong, the same with other
thresholds and sizes of input, and the CPU time of a picture on one thread.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.detection.boxes import FoundBox
from triptych.models.detection.default_detector import build_default_detector
from triptych.models.detection.face_finder import FACE_INPUT_SIDE, FACE_THRESHOLD, FaceFinder
from triptych.models.detection.object_finder import DOUBTFUL_PERSON_THRESHOLD, OBJECT_THRESHOLD, ObjectFinder
from triptych.models.detection.persons import CERTAIN_PERSON_THRESHOLD, FACE, PERSON, drop_doubtful_persons
from triptych.models.window import DetectionPicture
from triptych.training.evaluation.classification import wilson_interval

TRUTH: Final = Path(__file__).with_name("detection_truth.json")
SAMPLES: Final = Path(__file__).parents[1] / "app" / "triptych" / "samples"
FACE_SIDES: Final = (320, 480, 640)
FACE_THRESHOLDS: Final = (0.3, 0.4, 0.5, 0.6)
PERSON_THRESHOLDS: Final = (0.3, 0.4, 0.45, 0.5)
LOWEST_THRESHOLD: Final = 0.2
SMALL_SIDES: Final = (64, 96, 128, 160, 224)
FACE_WIDTHS: Final = (4, 8, 10, 12, 16, 24, 48)
_HEAD_SHARE: Final = 0.55

Point = tuple[float, float]


@dataclass(frozen=True)
class KnownPicture:
    """A photograph or a frame of a clip, and what it shows.

    Attributes:
        rgb: uint8 [H, W, 3].
        is_frame: whether it is a frame of a clip.
        faces: a point in each visible face, as shares of width and height.
        heads: a point in the head of each person without a visible face.
        labels: what else it shows, of the labels of the detector.
        persons_judged: whether its persons count: they do not in a collage of portraits.
    """

    rgb: NDArray[np.uint8]
    is_frame: bool
    faces: tuple[Point, ...]
    heads: tuple[Point, ...]
    labels: frozenset[str]
    persons_judged: bool = True

    @property
    def people(self) -> int:
        """The number of people."""
        return len(self.faces) + len(self.heads)


@dataclass
class Tally:
    """How many detections are right and wrong, and how many objects were missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def __str__(self) -> str:
        precision = _share(self.right, self.right + self.wrong)
        return f"precision {precision}, recall {_share(self.right, self.right + self.missed)}"

    def __iadd__(self, other: Tally) -> Self:
        self.right += other.right
        self.wrong += other.wrong
        self.missed += other.missed
        return self


@dataclass(frozen=True)
class Setting:
    """Thresholds and sizes that detections are judged with; they only remove detections of lower thresholds."""

    face_side: int = FACE_INPUT_SIDE
    face: float = FACE_THRESHOLD
    person: float = CERTAIN_PERSON_THRESHOLD
    confirmed_person: float = DOUBTFUL_PERSON_THRESHOLD
    objects: float = OBJECT_THRESHOLD


@dataclass
class Media:
    """Where pictures are looked for, and which were not found."""

    folders: Sequence[Path]
    missing: set[str] = field(default_factory=set)

    def find(self, name: str) -> Path | None:
        """Return the path of `samples:FILE`, `PACKAGE:PATH`, or of a file anywhere in the folders."""
        place, _, path = name.rpartition(":")
        if place == "samples":
            return SAMPLES / path
        if place:
            spec = importlib.util.find_spec(place)
            candidates = [Path(root) / path for root in (spec.submodule_search_locations or ())] if spec else []
        else:
            candidates = [found for folder in self.folders for found in sorted(folder.rglob(path))]
        found = next((each for each in candidates if each.is_file()), None)
        if found is None:
            self.missing.add(name)
        return found


def known_pictures(media: Media) -> list[KnownPicture]:
    """Return the pictures of `TRUTH` that are there."""
    pictures = []
    for entry in json.loads(TRUTH.read_text(encoding="utf-8"))["pictures"]:
        path = media.find(entry["picture"])
        if path is not None:
            pictures.append(_known_picture(path, entry))
    return pictures


def _known_picture(path: Path, entry: dict[str, Any]) -> KnownPicture:
    return KnownPicture(
        _frame(path, entry["time_s"]) if "time_s" in entry else _photograph(path),
        "time_s" in entry,
        tuple((x, y) for x, y in entry["faces"]),
        tuple((x, y) for x, y in entry["heads"]),
        frozenset(entry["labels"]),
        entry.get("persons_judged", True),
    )


def _photograph(path: Path) -> NDArray[np.uint8]:
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise ValueError(f"{path}: expected a picture that decodes")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _frame(path: Path, time_s: float) -> NDArray[np.uint8]:
    """Return the first frame at a time after the start of the clip, or later."""
    with av.open(str(path)) as container:
        first = None
        for frame in container.decode(container.streams.video[0]):
            now = frame.time or 0.0
            first = now if first is None else first
            if now - first >= time_s - 1e-6:
                return frame.to_ndarray(format="rgb24").astype(np.uint8)
    raise ValueError(f"{path}: expected more than {time_s} s")


def seen(rgb: NDArray[np.uint8], max_side: int) -> DetectionPicture:
    """Return a picture as a worker shows it to a detector."""
    scale = max_side / max(rgb.shape[:2])
    if scale < 1:
        size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    return DetectionPicture(rgb, 0, rgb.shape[1], rgb.shape[0])


class Finders:
    """The networks with low thresholds, and what they find in a picture: higher thresholds only remove boxes."""

    def __init__(self) -> None:
        cpu = torch.device("cpu")
        self._objects = ObjectFinder(cpu, threshold=LOWEST_THRESHOLD, person_threshold=LOWEST_THRESHOLD)
        self._faces = {side: FaceFinder(cpu, threshold=LOWEST_THRESHOLD, side=side) for side in FACE_SIDES}

    @torch.inference_mode()
    def find(self, rgb: NDArray[np.uint8]) -> dict[int, list[FoundBox]]:
        """Return what is found in a picture uint8 [H, W, 3], by the size of the input of the network for faces."""
        objects = _found(self._objects, rgb, FACE_INPUT_SIDE)
        return {side: objects + _found(faces, rgb, side) for side, faces in self._faces.items()}


def _found(finder: ObjectFinder | FaceFinder, rgb: NDArray[np.uint8], max_side: int) -> list[FoundBox]:
    prepared = finder.prepare(seen(rgb, max_side).rgb_hwc_u8)
    return finder.find(torch.from_numpy(prepared)[None])[0]


def chosen(found: Sequence[FoundBox], setting: Setting) -> list[FoundBox]:
    """Return the boxes that remain with the thresholds of a setting."""
    least = {FACE: setting.face, PERSON: setting.confirmed_person}
    high = [each for each in found if each.score >= least.get(each.label, setting.objects)]
    return drop_doubtful_persons(high, setting.person)


def tally(found: Sequence[FoundBox], points: Sequence[Point], height: float = 1.0) -> Tally:
    """Compare boxes with points. A box is right if it has one of its own in the upper share `height` of the box."""
    left_over = list(points)
    right = 0
    for each in sorted(found, key=lambda each: -each.score):
        left, top, far, bottom = each.box
        inside = [p for p in left_over if left <= p[0] <= far and top <= p[1] <= top + height * (bottom - top)]
        if inside:
            left_over.remove(min(inside, key=lambda p: abs(p[0] - (left + far) / 2)))
            right += 1
    return Tally(right, len(found) - right, len(left_over))


def _share(part: int, whole: int) -> str:
    interval = wilson_interval(part / whole if whole else 0.0, whole)
    return f"{part}/{whole} = {part / max(1, whole):.2f} ({interval.low:.2f} to {interval.high:.2f})"


Judged = Sequence[tuple[KnownPicture, list[FoundBox]]]


def judge_faces(judged: Judged) -> Tally:
    """Compare the faces of all pictures with what was found."""
    total = Tally()
    for picture, found in judged:
        total += tally(_labelled(found, FACE), picture.faces)
    return total


def judge_persons(judged: Judged) -> Tally:
    """Compare the persons of all pictures with what was found: a head must be in the upper half of a box of its own."""
    total = Tally()
    for picture, found in judged:
        if picture.persons_judged:
            total += tally(_labelled(found, PERSON), picture.faces + picture.heads, _HEAD_SHARE)
    return total


def judge_labels(judged: Judged) -> Tally:
    """Compare which other labels there are in each picture with which were found, whatever their number."""
    total = Tally()
    for picture, found in judged:
        labels = {each.label for each in found} - {FACE, PERSON}
        right = len(labels & picture.labels)
        total += Tally(right, len(labels) - right, len(picture.labels) - right)
    return total


def judge_people(judged: Judged) -> str:
    """Describe by how much the number of people is wrong: the larger of the numbers of persons and faces."""
    errors = [
        (picture.people, max(len(_labelled(found, PERSON)), len(_labelled(found, FACE))) - picture.people)
        for picture, found in judged
        if picture.persons_judged
    ]
    some = [error for people, error in errors if people]
    none = [error for people, error in errors if not people]
    lines = [f"without people, none found: {_share(none.count(0), len(none))}"]
    if some:
        lines += [
            f"with people, some found: {_share(sum(error > -people for people, error in errors if people), len(some))}",
            f"with people, count exact: {_share(some.count(0), len(some))}",
            f"with people, too many: {_share(sum(error > 0 for error in some), len(some))}",
            f"with people, mean error {statistics.fmean(some):+.2f}, absolute {statistics.fmean(map(abs, some)):.2f}",
        ]
    return "\n  ".join(lines)


def _labelled(found: Sequence[FoundBox], label: str) -> list[FoundBox]:
    return [each for each in found if each.label == label]


def _report(name: str, judged: Judged) -> Iterator[str]:
    yield f"{name}: {len(judged)} pictures, {sum(len(picture.faces) for picture, _ in judged)} faces"
    yield f"  faces: {judge_faces(judged)}"
    yield f"  persons: {judge_persons(judged)}"
    yield f"  other labels of a picture: {judge_labels(judged)}"
    yield f"  {judge_people(judged)}"


def _smallest_faces(pictures: Sequence[KnownPicture], found: Sequence[list[FoundBox]]) -> Iterator[str]:
    """Yield how many of the faces are still found when the network sees the photographs smaller, by their width."""
    hits: dict[tuple[int, int], list[bool]] = {widths: [] for widths in pairwise(FACE_WIDTHS)}
    for side in SMALL_SIDES:
        finder = FaceFinder(torch.device("cpu"), side=side)
        for picture, boxes in zip(pictures, found, strict=True):
            if picture.is_frame or not picture.faces:
                continue
            height, width, _ = picture.rgb.shape
            smaller = _found(finder, picture.rgb, side)
            for face in _labelled(boxes, FACE):
                pixels = (face.box[2] - face.box[0]) * width * side / max(height, width)
                centre = ((face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2)
                for (least, most), hit in hits.items():
                    if least <= pixels < most:
                        hit.append(tally(smaller, [centre]).right == 1)
    for (least, most), hit in hits.items():
        yield f"faces of {least} to {most} pixels in the input: found {_share(sum(hit), len(hit))}"


def _cost(pictures: Sequence[KnownPicture], expected: Sequence[list[FoundBox]]) -> Iterator[str]:
    """Yield the CPU time of the detector that workers use, after a check that it finds what was judged."""
    detector = build_default_detector(torch.device("cpu"))
    detector.warm()
    times = []
    for picture, boxes in zip(pictures, expected, strict=True):
        picture_seen = seen(picture.rgb, detector.max_side)
        begun = time.process_time()
        (found,) = detector.detect([picture_seen])
        times.append((time.process_time() - begun) * 1e3)
        if sorted((each.label, each.score) for each in found) != sorted((each.label, each.score) for each in boxes):
            raise ValueError(f"the detector found {found}, but {boxes} was judged")
    yield f"CPU time of a picture: median {statistics.median(times):.0f} ms, least {min(times):.0f}; n = {len(times)}"


def main(folders: Sequence[str]) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    media = Media([Path(folder) for folder in folders])
    pictures = known_pictures(media)
    finders = Finders()
    found = [finders.find(picture.rgb) for picture in pictures]

    def judged(setting: Setting, *, frames: bool | None = None) -> list[tuple[KnownPicture, list[FoundBox]]]:
        return [
            (picture, chosen(boxes[setting.face_side], setting))
            for picture, boxes in zip(pictures, found, strict=True)
            if frames is None or picture.is_frame == frames
        ]

    lines = [f"not found, skipped: {', '.join(sorted(media.missing)) or 'none'}"]
    lines += [
        *_report("photographs", judged(Setting(), frames=False)),
        *_report("clips", judged(Setting(), frames=True)),
    ]
    for side in FACE_SIDES:
        for threshold in FACE_THRESHOLDS:
            tally_faces = judge_faces(judged(Setting(face_side=side, face=threshold)))
            lines.append(f"faces from {threshold}, longer side {side}: {tally_faces}")
    for confirmed in (DOUBTFUL_PERSON_THRESHOLD, 1.0):
        for threshold in PERSON_THRESHOLDS:
            setting = Setting(person=threshold, confirmed_person=min(confirmed, threshold))
            lines.append(f"persons from {threshold}, with a face from {setting.confirmed_person}: ")
            lines[-1] += str(judge_persons(judged(setting)))
    lines += [
        f"other labels from {threshold}: {judge_labels(judged(Setting(objects=threshold)))}"
        for threshold in PERSON_THRESHOLDS
    ]
    default = [boxes for _, boxes in judged(Setting())]
    with torch.inference_mode():
        lines += _smallest_faces(pictures, default)
    lines += _cost(pictures, default)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
