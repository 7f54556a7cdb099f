"""Preparing windows for a model."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from tests.worker.media.studio import RATE_HZ, Studio, numbered
from triptych.worker.media import window_pictures as pictures_module
from triptych.worker.media.preparer import Preparer

SCALE = np.float32(1 / 32_768)


def test_selected_frames_are_spread_over_the_window_in_order(studio: Studio) -> None:
    """Of twenty frames, those nearest to 0.25, 0.75, 1.25 and 1.75 s are decoded."""
    items = [studio.frame(at / 10, studio.picture((10 * at, 0, 0))) for at in range(20)]
    prepared = Preparer(studio.spec).prepare(studio.window(items))
    assert prepared.window.frame_times_ns == tuple(studio.at(at) for at in (0.2, 0.7, 1.2, 1.7))
    assert [int(frame[0, 0, 0]) for frame in prepared.window.frames_hwc_u8] == [20, 70, 120, 170]
    assert all(frame.shape == (32, 48, 3) for frame in prepared.window.frames_hwc_u8)
    assert prepared.used == {"video": 4, "audio": 0, "subtitles": 0}
    assert prepared.bad == ()


def test_no_other_frame_is_decoded(studio: Studio) -> None:
    """Decoding is expensive."""
    items = [studio.frame(at / 10, studio.picture((0, 0, 0))) for at in range(20)]
    decode = pictures_module.decode_picture
    with patch.object(pictures_module, "decode_picture", side_effect=decode) as watched:
        Preparer(studio.spec).prepare(studio.window(items))
    assert watched.call_count == 4


def test_a_broken_frame_is_reported_and_replaced_by_another(studio: Studio) -> None:
    """The model still sees four frames."""
    items = [studio.frame(at / 10, studio.picture((10 * at, 0, 0))) for at in range(20)]
    items[7] = studio.frame(0.7, b"\xff\xd8\xff broken")
    prepared = Preparer(studio.spec).prepare(studio.window(items))
    assert [int(frame[0, 0, 0]) for frame in prepared.window.frames_hwc_u8] == [20, 80, 120, 170]
    assert [bad.entry for bad in prepared.bad] == [items[7]]
    assert "picture: expected" in prepared.bad[0].reason


def test_a_window_with_only_broken_frames_has_no_frames(studio: Studio) -> None:
    """Each broken frame is reported."""
    items = [studio.frame(at / 10, b"broken") for at in range(6)]
    prepared = Preparer(studio.spec).prepare(studio.window([*items, studio.speech(0, 8_000)]))
    assert prepared.window.frames_hwc_u8 == ()
    assert {bad.entry.offset for bad in prepared.bad} == {item.offset for item in items}
    assert prepared.used == {"video": 0, "audio": 1, "subtitles": 0}


def test_a_held_frame_is_placed_at_the_start_of_the_window(studio: Studio) -> None:
    """It is from before the window."""
    held = studio.frame(-3, studio.picture((200, 0, 0)))
    prepared = Preparer(studio.spec).prepare(studio.window(video="held", held=held))
    assert prepared.window.frame_times_ns == (studio.at(0),)
    assert int(prepared.window.frames_hwc_u8[0][0, 0, 0]) == 200
    assert prepared.used["video"] == 1


def test_a_broken_held_frame_is_reported(studio: Studio) -> None:
    """There is no other frame to replace it."""
    held = studio.frame(-3, b"broken")
    prepared = Preparer(studio.spec).prepare(studio.window(video="held", held=held))
    assert prepared.window.frames_hwc_u8 == ()
    assert [bad.entry for bad in prepared.bad] == [held]


def test_a_held_frame_is_not_used_if_the_window_has_frames(studio: Studio) -> None:
    """Its state is `present`, not `held`."""
    held = studio.frame(-3, studio.picture((200, 0, 0)))
    prepared = Preparer(studio.spec).prepare(
        studio.window([studio.frame(1, studio.picture((10, 0, 0)))], held=held),
    )
    assert prepared.window.frame_times_ns == (studio.at(1),)


def test_audio_is_sample_exact_across_chunks_and_window_boundaries(studio: Studio) -> None:
    """Chunks of 0.7 s begin before the window and end after it. The value of each sample is its index."""
    items = [studio.speech(first, first + 11_200) for first in range(0, 56_000, 11_200)]
    touching = [item for item in items if item.start_ns < studio.at(3) and item.end_ns > studio.at(1)]
    prepared = Preparer(studio.spec).prepare(studio.window(touching, start_s=1, end_s=3))
    np.testing.assert_array_equal(prepared.window.audio_f32, numbered(16_000, 48_000) * SCALE)
    assert prepared.window.audio_present == ((0, 32_000),)
    assert prepared.used["audio"] == 4
    assert prepared.repairs["audio"] == 0


def test_overlapping_windows_have_equal_samples_where_they_overlap(studio: Studio) -> None:
    """The second half of one equals the first half of the next."""
    items = [studio.speech(first, first + 8_000) for first in range(0, 48_000, 8_000)]
    first = Preparer(studio.spec).prepare(studio.window(items[:4])).window
    second = Preparer(studio.spec).prepare(studio.window(items[2:], start_s=1, end_s=3)).window
    np.testing.assert_array_equal(first.audio_f32[16_000:], second.audio_f32[:16_000])


@pytest.mark.parametrize("skew_ns", [-31_249, -1, 1, 31_249])
def test_rounded_times_do_not_shift_samples(studio: Studio, skew_ns: int) -> None:
    """The start times differ by less than half a sample."""
    items = [
        studio.chunk(at / 2, (at + 1) / 2, studio.wav(numbered(at * 8_000, at * 8_000 + 8_000)), skew_ns=skew_ns)
        for at in range(4)
    ]
    prepared = Preparer(studio.spec).prepare(studio.window(items))
    np.testing.assert_array_equal(prepared.window.audio_f32, numbered(0, 32_000) * SCALE)
    assert prepared.repairs["audio"] == 0


def test_overlaps_and_repaired_chunks_are_counted_as_repairs(studio: Studio) -> None:
    """One chunk overlaps another, and one is 50 samples short."""
    items = [
        studio.speech(0, 8_000),
        studio.speech(6_000, 14_000),
        studio.chunk(1, 1.5, studio.wav(numbered(0, 7_950))),
    ]
    prepared = Preparer(studio.spec).prepare(studio.window(items))
    assert prepared.repairs == {"video": 0, "audio": 2, "subtitles": 0}
    assert prepared.window.audio_present == ((0, 14_000), (16_000, 24_000))


def test_a_broken_chunk_is_reported_and_leaves_a_gap(studio: Studio) -> None:
    """The other chunks are not moved."""
    items = [studio.speech(0, 8_000), studio.chunk(0.5, 1, b"broken"), studio.speech(16_000, 24_000)]
    prepared = Preparer(studio.spec).prepare(studio.window(items))
    assert prepared.window.audio_present == ((0, 8_000), (16_000, 24_000))
    assert [bad.entry for bad in prepared.bad] == [items[1]]
    assert "audio: expected" in prepared.bad[0].reason


def test_chunks_of_different_codecs_and_sample_rates_are_combined(studio: Studio) -> None:
    """Each chunk is decoded on its own."""
    noise = np.random.default_rng(5).uniform(-0.5, 0.5, 24_000).astype(np.float32)
    items = [
        studio.speech(0, 8_000),
        studio.chunk(0.5, 1, studio.by_ffmpeg(noise[:8_000], "flac", "flac"), content_type="audio/flac"),
        studio.chunk(1, 1.5, studio.by_ffmpeg(noise, "pcm_f32le", "wav", rate_hz=48_000)),
    ]
    prepared = Preparer(studio.spec).prepare(studio.window(items))
    assert prepared.window.audio_present == ((0, 24_000),)
    assert prepared.used["audio"] == 3
    assert prepared.repairs["audio"] == 0


def test_cues_keep_their_full_text_and_their_own_times(studio: Studio) -> None:
    """Even if the window or `max_cue` ends them earlier."""
    items = [studio.cue(-1, 0.5, "Good morning,\nsaid she."), studio.cue(1.5, 500, "Logo", capped_s=60)]
    prepared = Preparer(studio.spec).prepare(studio.window(items))
    assert [(cue.text, cue.start_ns, cue.end_ns) for cue in prepared.window.cues] == [
        ("Good morning,\nsaid she.", studio.at(-1), studio.at(0.5)),
        ("Logo", studio.at(1.5), studio.at(500)),
    ]
    assert prepared.used["subtitles"] == 2


def test_an_empty_window_is_prepared(studio: Studio) -> None:
    """Its samples are all absent."""
    prepared = Preparer(studio.spec).prepare(studio.window(video="empty"))
    assert prepared.window.is_empty
    assert prepared.window.audio_f32.shape == (2 * RATE_HZ,)


def test_an_item_without_its_record_raises_a_type_error(studio: Studio) -> None:
    """It is a programming error, not a dead letter."""
    broken = replace(studio.speech(0, 8_000), payload=None)
    with pytest.raises(TypeError, match="expected a received AudioChunk"):
        Preparer(studio.spec).prepare(studio.window([broken]))


def test_prepare_is_thread_safe(studio: Studio) -> None:
    """All threads return the same window."""
    items = [studio.frame(at / 10, studio.picture((10 * at, 0, 0))) for at in range(20)]
    items += [studio.speech(first, first + 8_000) for first in range(0, 32_000, 8_000)]
    preparer, window = Preparer(studio.spec), studio.window(items)
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(lambda _: preparer.prepare(window), range(40)))
    for one in prepared:
        np.testing.assert_array_equal(one.window.audio_f32, numbered(0, 32_000) * SCALE)
        assert [int(frame[0, 0, 0]) for frame in one.window.frames_hwc_u8] == [20, 70, 120, 170]


def test_preparing_does_not_import_torch() -> None:
    """Importing torch is slow, and these tests do not need it."""
    program = "import sys, triptych.worker.media.preparer; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
