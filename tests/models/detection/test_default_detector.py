"""The default detector finds what photographs show, in pixels of the picture as it was sent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.models.detection.default_detector import DEFAULT_LABELS, DefaultDetector, build_default_detector
from triptych.models.detection.detector import Detector
from triptych.models.detection.face_finder import FaceFinder
from triptych.models.detection.object_finder import ObjectFinder
from triptych.models.execution.cpu_runtime import CpuRuntime
from triptych.models.window import DetectionPicture

Photo = Callable[[str], NDArray[np.uint8]]
Seen = Callable[..., DetectionPicture]
# What the photographs show (tests/data/pictures/CREDITS.md): label and roughly its box, as shares of the sides.
SHOWN = {
    "astronaut": [("face", (0.35, 0.11, 0.53, 0.35)), ("person", (0.04, 0.03, 0.71, 0.99))],
    "cat": [("cat", (0.0, 0.0, 0.95, 1.0))],
    "coffee": [("coffee cup", (0.29, 0.05, 0.7, 0.8))],
    "rocket": [],
}


@pytest.mark.parametrize("name", SHOWN)
def test_photographs_show_what_is_known(detector: Detector, photo: Photo, seen: Seen, name: str) -> None:
    """Each label, about where it is, and nothing else."""
    (found,) = detector.detect([seen(photo(name), time_ns=5, sent_width=1000, sent_height=500)])
    assert sorted(each.label for each in found) == [label for label, _ in SHOWN[name]]
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert all(each.time_ns == 5 for each in found)
    for each in found:
        left, top, right, bottom = dict(SHOWN[name])[each.label]
        assert each.box == pytest.approx((left * 1000, top * 500, right * 1000, bottom * 500), abs=50)


def test_labels_are_in_lower_case() -> None:
    """As they stand in results and rules."""
    assert len(DEFAULT_LABELS) == 24
    assert all(label == label.lower() for label in DEFAULT_LABELS)


def test_no_pictures_give_no_answers(detector: Detector) -> None:
    """An empty list gives an empty list."""
    assert detector.detect([]) == []


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(288, 480), (1, 1), (2, 480), (480, 480)])
def test_a_plain_picture_shows_nothing(detector: Detector, seen: Seen, level: int, shape: tuple[int, int]) -> None:
    """Of any shape: a black one is what a feed sends between programmes."""
    assert detector.detect([seen(np.full((*shape, 3), level, np.uint8))]) == [()]


def test_boxes_are_inside_the_picture_as_sent(detector: Detector, photo: Photo, seen: Seen) -> None:
    """Also where the object reaches beyond its edges."""
    near = photo("astronaut")[40:160, 100:190]
    for width, height in ((90, 120), (1920, 1080), (7, 3)):
        (found,) = detector.detect([seen(near, sent_width=width, sent_height=height)])
        assert found
        for left, top, right, bottom in (each.box for each in found):
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height


def test_the_other_pictures_do_not_matter(detector: Detector, photo: Photo, seen: Seen) -> None:
    """Neither their number, nor their order, nor their sizes; and the answer is the same each time."""
    pictures = [seen(photo(name), time_ns=index) for index, name in enumerate(SHOWN)]
    pictures.insert(1, seen(photo("astronaut")[:200], time_ns=9))
    alone = [detector.detect([picture])[0] for picture in pictures]
    assert detector.detect(pictures) == alone
    assert detector.detect(pictures[::-1]) == alone[::-1]
    assert detector.detect(pictures + pictures) == alone + alone


def test_pictures_that_a_gpu_sees_together_do_not_matter_either(detector: Detector, photo: Photo, seen: Seen) -> None:
    """The same networks on the CPU, with the batches of a GPU; the rest is rounding."""
    device = torch.device("cpu")
    together = DefaultDetector((ObjectFinder(device), FaceFinder(device)), device, batch=3)
    pictures = [seen(photo(name), time_ns=index) for index, name in enumerate(SHOWN)]
    pictures.insert(1, seen(photo("astronaut")[:200], time_ns=9))
    for found, alone in zip(together.detect(pictures), detector.detect(pictures), strict=True):
        assert [(each.time_ns, each.label) for each in found] == [(each.time_ns, each.label) for each in alone]
        for each, other in zip(found, alone, strict=True):
            assert each.score == pytest.approx(other.score, abs=1e-4)
            assert each.box == pytest.approx(other.box, abs=0.1)


def test_the_checksum_covers_thresholds_and_sizes(detector: Detector) -> None:
    """Results before and after a change of one can be told apart."""
    device = torch.device("cpu")
    finders = [
        (ObjectFinder(device), FaceFinder(device)),
        (ObjectFinder(device, threshold=0.9), FaceFinder(device)),
        (ObjectFinder(device, person_threshold=0.9), FaceFinder(device)),
        (ObjectFinder(device), FaceFinder(device, threshold=0.9)),
        (ObjectFinder(device), FaceFinder(device, side=320)),
    ]
    checksums = [DefaultDetector(each, device, batch=1).sha256 for each in finders]
    checksums.append(DefaultDetector(finders[0], device, batch=1, person_threshold=0.9).sha256)
    assert checksums[0] == detector.sha256
    assert len(set(checksums)) == len(checksums)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_finds_the_same(detector: Detector, photo: Photo, seen: Seen) -> None:
    """The same labels, scores and boxes, but for rounding."""
    pictures = [seen(photo(name)) for name in SHOWN]
    on_gpu = build_default_detector(torch.device("cuda"))
    on_gpu.warm()
    for found, other in zip(on_gpu.detect(pictures), detector.detect(pictures), strict=True):
        assert [each.label for each in found] == [each.label for each in other]
        assert [each.score for each in found] == pytest.approx([each.score for each in other], abs=1e-3)


def test_a_faster_runtime_finds_the_same(detector: Detector, photo: Photo, seen: Seen) -> None:
    """In OpenVINO, for pictures of several shapes; the checksum stays, because it is the same detector."""
    pytest.importorskip("openvino")
    faster = build_default_detector(torch.device("cpu"), CpuRuntime("openvino").accelerate)
    assert faster.sha256 == detector.sha256
    pictures = [seen(photo(name)) for name in SHOWN]
    pictures += [seen(photo("astronaut")[:side]) for side in range(150, 380, 20)]
    for found, expected in zip(faster.detect(pictures), detector.detect(pictures), strict=True):
        assert [each.label for each in found] == [each.label for each in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-3)
            assert one.box == pytest.approx(other.box, abs=0.5)
