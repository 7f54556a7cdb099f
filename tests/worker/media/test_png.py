"""Limiting what a PNG can cost to decode."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.e2e.poison import png, zeros
from tests.worker.media.studio import Studio
from triptych.schemas.reasons import DeadReason
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.picture import MAX_SCANS, decode_picture
from triptych.worker.media.png import bare_png

CORPUS = Path(__file__).parents[2] / "data" / "corpus" / "pictures"
WHOLE = ("rgb.png", "alpha16.png", "bilevel.png", "palette_interlaced_notes.png")


@pytest.mark.parametrize("name", WHOLE)
def test_removing_metadata_does_not_change_the_picture(name: str) -> None:
    """For all bit depths and colour types, interlaced or not."""
    data = (CORPUS / name).read_bytes()
    bare = bare_png(data)

    assert b"zTXt" not in bare
    assert b"tEXt" not in bare
    seen = cv2.imdecode(np.frombuffer(bare, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(seen, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def test_image_data_that_inflates_to_more_than_the_size_declares_is_an_error() -> None:
    """A megabyte inflates to a gigabyte in a picture of 16 by 16 pixels. A few surplus bytes are accepted."""
    with pytest.raises(UnreadableMediaError, match="expected image data of 784 bytes in the png, got more") as caught:
        bare_png(png(16, 16, idat=zeros(1 << 30)))
    assert caught.value.code == DeadReason.TOO_LARGE
    surplus = png(16, 16, idat=zlib.compress(bytes(16 * 49 + 100)))
    assert bare_png(surplus) == surplus


def test_a_chunk_longer_than_the_file_is_an_error_before_memory_is_allocated(studio: Studio) -> None:
    """OpenCV would allocate four gigabytes for a hundred bytes."""
    data = bytearray(studio.picture((9, 9, 9)))
    at = data.index(b"IDAT") - 4
    struct.pack_into(">I", data, at, 0xFF7F0046)
    with pytest.raises(UnreadableMediaError, match="expected a chunk of 4286513222 bytes in the png"):
        decode_picture(bytes(data), studio.spec)


def test_a_jpeg_with_too_many_scans_is_an_error(studio: Studio) -> None:
    """Each scan is a pass over the whole picture."""
    data = (CORPUS / "many_scans.jpg").read_bytes()
    with pytest.raises(UnreadableMediaError, match=f"at most {MAX_SCANS} scans, got 1") as caught:
        decode_picture(data, studio.spec)
    assert caught.value.code == DeadReason.TOO_LARGE
    assert decode_picture((CORPUS / "progressive.jpg").read_bytes(), studio.spec).shape == (32, 48, 3)
