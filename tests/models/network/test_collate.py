"""Windows become tensors of fixed shapes; what is missing is masked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from triptych.models.model import InputSpec
from triptych.models.network.collate import AUDIO_TOKEN_SAMPLES, collate, empty_batch
from triptych.models.window import PreparedCue, PreparedWindow

SPEC = InputSpec(frames=3, height=4, width=6, sample_rate_hz=16_000)
SAMPLES = 32_000
MakeWindow = Callable[..., PreparedWindow]


def frame(value: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a picture of one grey."""
    return np.full((SPEC.height, SPEC.width, 3), value, np.uint8)


def test_every_tensor_has_its_fixed_shape(make_window: MakeWindow) -> None:
    """However many windows there are, and whatever is in them."""
    batch = collate([make_window()], empty_batch(4, SAMPLES, SPEC))
    assert [tuple(tensor.shape) for tensor in batch.tensors()] == [
        (4, 3, 4, 6, 3), (4, 3), (4, 3), (4, 32_000), (4, 63), (4, 0), (4, 0), (4, 0),
    ]  # fmt: skip
    assert batch.video.dtype == torch.uint8


def test_pictures_stand_first_with_their_times(make_window: MakeWindow) -> None:
    """The rest of the row is masked."""
    batch = collate([make_window([frame(1), frame(2)])], empty_batch(1, SAMPLES, SPEC))
    assert batch.video_mask[0].tolist() == [True, True, False]
    assert batch.video[0, :2, 0, 0, 0].tolist() == [1, 2]
    assert batch.video_t[0, :2].tolist() == [0.0, 0.5]


def test_audio_is_masked_by_token(make_window: MakeWindow) -> None:
    """A token counts as there when any of its samples is."""
    sound = np.full(AUDIO_TOKEN_SAMPLES + 1, 0.5, np.float32)
    start = 3 * AUDIO_TOKEN_SAMPLES - 1
    window = make_window(sound=sound, spans=((start, start + sound.size),))
    batch = collate([window], empty_batch(1, SAMPLES, SPEC))
    assert batch.audio_mask[0].nonzero().flatten().tolist() == [2, 3]
    assert batch.audio[0, start : start + sound.size].tolist() == sound.tolist()


def test_arrays_that_must_not_be_written_are_taken_too(make_window: MakeWindow) -> None:
    """What was decoded in place is a view of bytes."""
    picture = np.frombuffer(bytes(SPEC.height * SPEC.width * 3), np.uint8).reshape(SPEC.height, SPEC.width, 3)
    batch = collate([make_window([picture])], empty_batch(1, SAMPLES, SPEC))
    assert batch.video_mask.any()


def test_a_buffer_used_again_forgets_what_was_in_it(make_window: MakeWindow) -> None:
    """Rows left over from a larger batch are masked, and so is what a window lacks."""
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


def test_cues_lie_one_after_the_other_with_their_times(make_window: MakeWindow) -> None:
    """One that began before the window counts as of its start."""
    cues = (PreparedCue("ab", -5, 10), PreparedCue("c", WINDOW_NS // 2, WINDOW_NS))
    batch = collate([make_window(cues=cues)], empty_batch(2, SAMPLES, READING), letters)
    assert batch.text[0, :3].tolist() == letters("abc")
    assert batch.text_mask.tolist() == [[True] * 3 + [False] * 3, [False] * 6]
    assert batch.text_t[0, :3].tolist() == [0.0, 0.0, 0.5]
    assert batch.cue_counts == (2, 0)
    assert batch.rows_with("text") == (0,)


def test_words_for_which_there_is_no_room_are_left_out(make_window: MakeWindow) -> None:
    """The rest of a cue, and the cues after it."""
    cues = (PreparedCue("abcd", 0, 1), PreparedCue("efgh", 0, 1), PreparedCue("ij", 0, 1))
    batch = collate([make_window(cues=cues)], empty_batch(1, SAMPLES, READING), letters)
    assert batch.text[0].tolist() == letters("abcdef")
    assert batch.cue_counts == (2,)


def test_a_model_that_does_not_read_gets_no_text(make_window: MakeWindow) -> None:
    """Nor does a buffer used again keep what was said before."""
    window = make_window(cues=(PreparedCue("ab", 0, 1),))
    buffer = empty_batch(1, SAMPLES, READING)
    collate([window], buffer, letters)
    batch = collate([window], buffer)
    assert not batch.text_mask.any()
    assert batch.rows_with("text") == ()
