"""Decoding a picture to the input size of a model."""

from __future__ import annotations

import contextlib
import struct
import zlib
from typing import cast
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.worker.media.studio import Studio
from triptych.models.model import InputSpec
from triptych.worker.media import picture as picture_module
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.picture import MAX_PIXELS, decode_picture

SPEC = InputSpec(frames=4, height=32, width=48, sample_rate_hz=16_000)
ORANGE = (250, 120, 10)


@pytest.mark.parametrize("form", [".jpg", ".png", ".webp"])
def test_pictures_of_all_formats_are_decoded_to_rgb_at_the_models_size(studio: Studio, form: str) -> None:
    """The channels are in the order red, green, blue."""
    rgb = decode_picture(studio.picture(ORANGE, form=form), SPEC)
    assert rgb.shape == (32, 48, 3)
    assert rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - ORANGE).max() <= 4


@pytest.mark.parametrize("scale", [2, 3, 4, 8, 11])
def test_a_large_picture_keeps_its_content_when_reduced(scale: int) -> None:
    """The left half is dark and the right half bright at every scale."""
    bgr = np.zeros((32 * scale, 48 * scale, 3), np.uint8)
    bgr[:, 24 * scale :] = 255
    done, data = cv2.imencode(".jpg", bgr)
    assert done
    rgb = decode_picture(data.tobytes(), SPEC)
    assert rgb.shape == (32, 48, 3)
    assert rgb[:, :23].max() < 40
    assert rgb[:, 25:].min() > 215


def test_a_large_jpeg_is_reduced_while_it_is_decoded(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV decodes it at less than twice the model's size."""
    seen: list[tuple[int, ...]] = []
    decode = cv2.imdecode

    def watched(data: NDArray[np.uint8], flags: int) -> NDArray[np.uint8]:
        picture = cast("NDArray[np.uint8]", decode(data, flags))
        seen.append(picture.shape)
        return picture

    monkeypatch.setattr(cv2, "imdecode", watched)
    decode_picture(studio.picture(ORANGE, form=".jpg", height=32 * 8, width=48 * 9), SPEC)
    assert seen == [(32, 54, 3)]


@pytest.mark.parametrize("form", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_picture_is_an_error(form: str, share: float) -> None:
    """Otherwise its missing part would look grey."""
    noise = np.random.default_rng(3).integers(0, 255, (64, 64, 3), np.uint8)
    done, data = cv2.imencode(form, noise)
    assert done
    with pytest.raises(UnreadableMediaError, match="picture: expected"):
        decode_picture(data.tobytes()[: int(len(data) * share)], SPEC)


def test_a_picture_that_declares_too_many_pixels_is_not_decoded() -> None:
    """A PNG of a few bytes could need gigabytes."""
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(UnreadableMediaError, match=f"at most {MAX_PIXELS} pixels, got 40000x40000"):
        decode_picture(data, SPEC)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from([".jpg", ".png", ".webp"]))
def test_a_corrupted_picture_is_decoded_or_an_error(data: st.DataObject, form: str) -> None:
    """No other exception is raised, whatever bytes are changed."""
    gradient = np.tile(np.arange(40, dtype=np.uint8)[:, None, None] * 6, (1, 40, 3))
    done, encoded = cv2.imencode(form, gradient)
    assert done
    damaged = bytearray(encoded.tobytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with (
        patch.object(picture_module, "MAX_PIXELS", 1_000_000),  # a changed size takes long to decode
        contextlib.suppress(UnreadableMediaError),
    ):
        assert decode_picture(bytes(damaged), SPEC).shape == (32, 48, 3)
