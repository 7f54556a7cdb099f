"""Windows are collated into tensors of fixed shapes, with masks for missing data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from triptych.models.model import FeatureShape, InputSpec
from triptych.models.network.collate import AUDIO_TOKEN_SAMPLES, collate, empty_batch
from triptych.models.window import PreparedCue, PreparedWindow

SPEC = InputSpec(frames=3, height=4, width=6, sample_rate_hz=16_000)
SAMPLES = 32_000
MakeWindow = Callable[..., PreparedWindow]


def frame(value: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a frame of one grey value."""
    return np.full((SPEC.height, SPEC.width, 3), value, np.uint8)


def test_every_tensor_has_its_fixed_shape(make_window: MakeWindow) -> None:
    """The shapes do not depend on number and content of the windows."""
    batch = collate([make_window()], empty_batch(4, SAMPLES, SPEC))
    assert [tuple(tensor.shape) for tensor in batch.tensors()] == [
        (4, 3, 4, 6, 3), (4, 3), (4, 3), (4, 32_000), (4, 63), (4, 0), (4, 0), (4, 0),
    ]  # fmt: skip
    assert batch.video.dtype == torch.uint8


def test_frames_come_first_with_their_times(make_window: MakeWindow) -> None:
    """The rest of the row is masked."""
    batch = collate([make_window([frame(1), frame(2)])], empty_batch(1, SAMPLES, SPEC))
    assert batch.video_mask[0].tolist() == [True, True, False]
    assert batch.video[0, :2, 0, 0, 0].tolist() == [1, 2]
    assert batch.video_t[0, :2].tolist() == [0.0, 0.5]


def test_audio_is_masked_by_token(make_window: MakeWindow) -> None:
    """A token is unmasked if any of its samples is present."""
    sound = np.full(AUDIO_TOKEN_SAMPLES + 1, 0.5, np.float32)
    start = 3 * AUDIO_TOKEN_SAMPLES - 1
    window = make_window(sound=sound, spans=((start, start + sound.size),))
    batch = collate([window], empty_batch(1, SAMPLES, SPEC))
    assert batch.audio_mask[0].nonzero().flatten().tolist() == [2, 3]
    assert batch.audio[0, start : start + sound.size].tolist() == sound.tolist()


def test_read_only_arrays_are_accepted(make_window: MakeWindow) -> None:
    """Decoded frames may be views of immutable bytes."""
    picture = np.frombuffer(bytes(SPEC.height * SPEC.width * 3), np.uint8).reshape(SPEC.height, SPEC.width, 3)
    batch = collate([make_window([picture])], empty_batch(1, SAMPLES, SPEC))
    assert batch.video_mask.any()


def test_a_reused_buffer_contains_nothing_of_the_previous_batch(make_window: MakeWindow) -> None:
    """Rows of a larger previous batch, and modalities that a window lacks, are masked."""
    buffer = empty_batch(2, SAMPLES, SPEC)
    full = make_window([frame(1)] * 3, sound=np.ones(SAMPLES, np.float32))
    collate([full, full], buffer)
    batch = collate([make_window([frame(2)])], buffer)
    assert batch.video_mask.tolist() == [[True, False, False], [False, False, False]]
    assert not batch.audio_mask.any()
    assert batch.rows_with("video") == (0,)
    assert batch.rows_with("audio") == ()
    assert batch.rows_with("text") == ()


READING = InputSpec(frames=1, height=4, width=6, sample_rate_hz=16_000, text_tokens=6)
WINDOW_NS = 2_000_000_000


def letters(text: str) -> list[int]:
    """Return an id for each letter."""
    return [ord(letter) for letter in text]


def test_cues_are_concatenated_with_their_times(make_window: MakeWindow) -> None:
    """A cue that starts before the window has the time 0."""
    cues = (PreparedCue("ab", -5, 10), PreparedCue("c", WINDOW_NS // 2, WINDOW_NS))
    batch = collate([make_window(cues=cues)], empty_batch(2, SAMPLES, READING), letters)
    assert batch.text[0, :3].tolist() == letters("abc")
    assert batch.text_mask.tolist() == [[True] * 3 + [False] * 3, [False] * 6]
    assert batch.text_t[0, :3].tolist() == [0.0, 0.0, 0.5]
    assert batch.cue_counts == (2, 0)
    assert batch.rows_with("text") == (0,)


def test_long_text_is_truncated(make_window: MakeWindow) -> None:
    """The rest of the cue and all following cues are dropped."""
    cues = (PreparedCue("abcd", 0, 1), PreparedCue("efgh", 0, 1), PreparedCue("ij", 0, 1))
    batch = collate([make_window(cues=cues)], empty_batch(1, SAMPLES, READING), letters)
    assert batch.text[0].tolist() == letters("abcdef")
    assert batch.cue_counts == (2,)


def test_a_model_that_does_not_read_gets_no_text(make_window: MakeWindow) -> None:
    """A reused buffer does not contain text of a previous batch."""
    window = make_window(cues=(PreparedCue("ab", 0, 1),))
    buffer = empty_batch(1, SAMPLES, READING)
    collate([window], buffer, letters)
    batch = collate([window], buffer)
    assert not batch.text_mask.any()
    assert batch.rows_with("text") == ()


def test_features_may_have_a_name_of_their_own(make_window: MakeWindow) -> None:
    """Such as a structured record beside media: a network with an encoder of that name reads it."""
    spec = replace(SPEC, features=(FeatureShape("record", 1, 2),))
    windows = [make_window([frame(1)]), replace(make_window(), features={"record": np.ones((1, 2), np.float32)})]

    batch = collate(windows, empty_batch(2, SAMPLES, spec))

    assert batch.rows_with("record") == (1,)
    assert batch.rows_with("video") == (0,)
    assert batch.features["record"][1].tolist() == [[1.0, 1.0]]
