"""Pictures for detectors, and for the model beside them."""

from __future__ import annotations

import struct
from dataclasses import replace
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.worker.media.studio import Studio
from triptych.models.model import DetectionSpec
from triptych.worker.media import picture as picture_module
from triptych.worker.media.preparer import Preparer
from triptych.worker.overload import Effort


def spec_with(studio: Studio, pictures: int, max_side: int = 64) -> Preparer:
    """Return a preparer for four frames of 48x32 and pictures for detectors."""
    return Preparer(replace(studio.spec, detection=DetectionSpec(pictures, max_side)))


def gradient(height: int, width: int) -> NDArray[np.uint8]:
    """Return a smooth BGR picture, dark at its left and red at its top."""
    bgr = np.zeros((height, width, 3), np.uint8)
    bgr[..., 0] = np.linspace(0, 255, width, dtype=np.uint8)
    bgr[..., 2] = np.linspace(255, 0, height, dtype=np.uint8)[:, np.newaxis]
    return bgr


def jpeg(bgr: NDArray[np.uint8], orientation: int = 1) -> bytes:
    """Return a JPEG, with an EXIF orientation."""
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01" + struct.pack(">HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\x00\x00" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body + data[2:]


@pytest.mark.parametrize(("pictures", "expected"), [(1, (1.0,)), (2, (0.5, 1.5)), (4, (0.2, 0.7, 1.2, 1.7))])
def test_pictures_are_spread_over_the_window(studio: Studio, pictures: int, expected: tuple[float, ...]) -> None:
    """By the same rule as frames."""
    items = [studio.frame(at / 10, studio.picture((10 * at, 0, 0))) for at in range(20)]
    prepared = spec_with(studio, pictures).prepare(studio.window(items))
    assert [picture.time_ns for picture in prepared.window.pictures] == [studio.at(at) for at in expected]
    assert [int(each.rgb_hwc_u8[0, 0, 0]) for each in prepared.window.pictures] == [round(100 * at) for at in expected]
    assert (prepared.used["video"], prepared.shed_pictures, prepared.bad) == (4, 0, ())


@pytest.mark.parametrize(
    ("height", "width", "shape"), [(36, 64, (36, 64)), (20, 30, (20, 30)), (360, 640, (36, 64)), (700, 100, (64, 9))]
)
@pytest.mark.parametrize("form", [".png", ".jpg"])
def test_pictures_keep_their_proportions_and_are_never_enlarged(
    studio: Studio, form: str, height: int, width: int, shape: tuple[int, int]
) -> None:
    """Boxes refer to the size that was sent."""
    data = studio.picture((9, 200, 9), form=form, height=height, width=width)
    (picture,) = spec_with(studio, 1).prepare(studio.window([studio.frame(0, data)])).window.pictures
    assert picture.rgb_hwc_u8.shape == (*shape, 3)
    assert (picture.width, picture.height) == (width, height)
    assert abs(int(picture.rgb_hwc_u8[0, 0, 1]) - 200) < 4


@pytest.mark.parametrize(("orientation", "size"), [(1, (200, 100)), (6, (100, 200)), (3, (200, 100)), (8, (100, 200))])
def test_a_turned_picture_is_upright_and_so_is_its_size(
    studio: Studio, orientation: int, size: tuple[int, int]
) -> None:
    """EXIF orientation 6 turns it clockwise: its dark left edge is then at the top."""
    data = jpeg(gradient(100, 200), orientation)
    (picture,) = spec_with(studio, 1).prepare(studio.window([studio.frame(0, data)])).window.pictures
    assert (picture.width, picture.height) == size
    assert max(picture.rgb_hwc_u8.shape) == 64
    left, top = picture.rgb_hwc_u8[..., 2].mean(0)[:4].mean(), picture.rgb_hwc_u8[..., 2].mean(1)[:4].mean()
    dark = {1: left, 6: top, 3: 255 - left, 8: 255 - top}[orientation]
    assert dark < 25


def test_a_frame_that_both_see_is_decoded_once(studio: Studio) -> None:
    """With one frame in the window it is the same for the model and the detector."""
    data = jpeg(gradient(360, 640))
    window = studio.window([studio.frame(1, data)])
    decode = cv2.imdecode
    with patch.object(picture_module.cv2, "imdecode", side_effect=decode) as watched:
        prepared = spec_with(studio, 1, max_side=300).prepare(window)
    assert watched.call_count == 1
    (frame,), (picture,) = prepared.window.frames_hwc_u8, prepared.window.pictures
    assert (frame.shape, picture.rgb_hwc_u8.shape) == ((32, 48, 3), (169, 300, 3))
    (alone,) = Preparer(studio.spec).prepare(window).window.frames_hwc_u8
    assert np.abs(frame.astype(int) - alone).max() <= 4


def test_a_held_frame_is_examined(studio: Studio) -> None:
    """At the start of the window, as for the model."""
    held = studio.frame(-3, studio.picture((200, 0, 0)))
    prepared = spec_with(studio, 2).prepare(studio.window(video="held", held=held))
    assert [(each.time_ns, int(each.rgb_hwc_u8[0, 0, 0])) for each in prepared.window.pictures] == [(studio.at(0), 200)]


def test_a_broken_picture_is_reported_once_and_replaced(studio: Studio) -> None:
    """The model and the detector would both have chosen it."""
    items = [studio.frame(at / 10, studio.picture((10 * at, 0, 0))) for at in range(20)]
    items[7] = studio.frame(0.7, b"\xff\xd8\xff broken")
    prepared = spec_with(studio, 4).prepare(studio.window(items))
    assert [bad.entry for bad in prepared.bad] == [items[7]]
    assert [int(frame[0, 0, 0]) for frame in prepared.window.frames_hwc_u8] == [20, 80, 120, 170]
    assert [int(each.rgb_hwc_u8[0, 0, 0]) for each in prepared.window.pictures] == [20, 80, 120, 170]


def test_pictures_that_overload_leaves_out_are_counted(studio: Studio) -> None:
    """As many as there would have been."""
    items = [studio.frame(at, studio.picture((0, 0, 0))) for at in (0.3, 1.3)]
    preparer = spec_with(studio, 4)
    fewer = preparer.prepare(studio.window(items), Effort(4))
    assert (fewer.window.pictures, fewer.shed_pictures, len(fewer.window.frames_hwc_u8)) == ((), 2, 2)
    assert preparer.prepare(studio.window(items), Effort(0, asks_model=False)).shed_pictures == 2
    assert preparer.prepare(studio.window(items)).shed_pictures == 0
    assert Preparer(studio.spec).prepare(studio.window(items), Effort(0, asks_model=False)).shed_pictures == 0
