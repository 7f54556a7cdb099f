"""Reading the size of a picture from its header."""

from __future__ import annotations

import contextlib
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.picture_size import picture_size

NOISE = np.random.default_rng(7).integers(0, 255, (37, 53, 4), np.uint8)
LOSSY_WEBP = [cv2.IMWRITE_WEBP_QUALITY, 60]


def encoded(form: str, picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], options: list[int]) -> bytes:
    """Return the picture as OpenCV encodes it."""
    done, data = cv2.imencode(form, picture, options)
    assert done
    return data.tobytes()


def exif(jpeg: bytes) -> bytes:
    """Insert an EXIF segment and padding at the start of a JPEG."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + 600) + bytes(600) + b"\xff\xff" + jpeg[2:]


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (encoded(".jpg", NOISE[:, :, :3], []), "jpeg"),
        (encoded(".jpg", NOISE[:, :, 0], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), "jpeg"),
        (exif(encoded(".jpg", NOISE[:, :, :3], [])), "jpeg"),
        (encoded(".png", NOISE, []), "png"),
        (encoded(".webp", NOISE[:, :, :3], LOSSY_WEBP), "webp"),
        (encoded(".webp", NOISE[:, :, :3], []), "webp"),
        (encoded(".webp", NOISE, LOSSY_WEBP), "webp"),
    ],
    ids=["jpeg", "jpeg-progressive", "jpeg-exif", "png", "webp-lossy", "webp-lossless", "webp-extended"],
)
def test_the_size_is_read_from_every_kind_of_header(data: bytes, form: str) -> None:
    """The pictures are encoded by OpenCV."""
    assert picture_size(data) == (form, 53, 37)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(40),
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xda\x00\x02",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF....WEBPVP9 ",
    ],
)
def test_data_without_a_size_is_an_error(data: bytes) -> None:
    """Formats other than the three of the contract are an error too."""
    with pytest.raises(UnreadableMediaError, match="picture: expected"):
        picture_size(data)


@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", b"RIFF\x00\x00\x00\x00WEBPVP8X"]),
    st.binary(max_size=64),
)
def test_any_data_has_a_size_or_is_an_error(beginning: bytes, rest: bytes) -> None:
    """No other exception is raised."""
    with contextlib.suppress(UnreadableMediaError):
        assert picture_size(beginning + rest).width > 0
