"""The shares of silence, speech, music and singing in the audio of a window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from triptych.models.model import Model
from triptych.models.observed.sounds import heard_sounds
from triptych.models.window import PreparedWindow

MakeWindow = Callable[..., PreparedWindow]
Samples = NDArray[np.float32]
SAMPLES = Path(__file__).parents[3] / "app" / "triptych" / "samples"
SECOND = 16_000
STEPS = 198
"""Steps of 10 ms in 2 s."""


def noise(level_dbfs: float, samples: int = 2 * SECOND) -> Samples:
    """Return noise of this level, float32 [S]."""
    drawn = np.random.default_rng(3).normal(0, 10 ** (level_dbfs / 20), samples)
    return drawn.astype(np.float32)


def probabilities(*, singing: float = 0.0, music: float = 0.0) -> Samples:
    """Return the same probabilities for each step, float32 [198, 3]."""
    return np.tile(np.array([0.0, singing, music], np.float32), (STEPS, 1))


def shares(audio: Samples, speech: float | None, steps: Samples) -> dict[str, float]:
    """Return the shares by label."""
    return {heard.label: heard.score for heard in heard_sounds(audio, speech, steps)}


def test_audio_at_the_level_of_the_silent_flag_is_silence() -> None:
    """The flag `silent` begins at -60 dBFS as well."""
    assert shares(noise(-61), 0.0, probabilities()) == {"silence": 1.0}
    assert shares(noise(-59), 0.0, probabilities()) == {}
    assert shares(np.zeros(2 * SECOND, np.float32), 0.0, probabilities(music=1.0)) == {"silence": 1.0}


def test_only_the_audible_part_of_a_window_is_music() -> None:
    """Half a window of silence leaves half a window of music."""
    audio = np.concatenate([noise(-20, SECOND), np.zeros(SECOND, np.float32)])
    heard = shares(audio, 0.0, probabilities(music=0.9))
    assert heard == {"silence": 0.5, "music": pytest.approx(0.5, abs=0.01)}


def test_a_song_with_speech_is_all_of_them_and_the_largest_share_comes_first() -> None:
    """The shares do not add up to 1."""
    heard = heard_sounds(noise(-20), 0.4, probabilities(singing=0.9, music=0.9))
    assert [each.label for each in heard] == ["music", "singing", "speech"]
    assert heard[2].score == 0.4


@pytest.mark.parametrize(("music", "share"), [(0.75, None), (0.85, 1.0)])
def test_a_hum_below_the_limit_is_no_music(music: float, share: float | None) -> None:
    """The limit is higher than the network's own."""
    assert shares(noise(-20), 0.0, probabilities(music=music)).get("music") == share


def test_a_moment_of_music_is_left_out_and_a_little_more_is_not() -> None:
    """The least share is 0.05 of the window: ten of its 198 steps."""
    for steps, expected in ((8, []), (14, ["music"])):
        values = probabilities()
        values[50 : 50 + steps, 2] = 1.0
        assert [heard.label for heard in heard_sounds(noise(-20), 0.0, values)] == expected


def test_a_single_sample_and_audio_without_steps_can_be_judged() -> None:
    """The network has no step for less than 25 ms."""
    assert shares(np.full(1, 0.5, np.float32), None, np.zeros((0, 3), np.float32)) == {}


def test_the_base_model_hears_speech_and_music(base_model: Model, speech: Samples, make_window: MakeWindow) -> None:
    """On a reading, on the music of an animated film, and without audio; alone and in one batch."""
    parts = []
    with av.open(str(SAMPLES / "bbb_5s_51ch.mp4")) as container:
        resampler = av.AudioResampler("flt", "mono", SECOND)
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    film = np.concatenate(parts)[: 2 * SECOND]
    windows = [make_window(sound=speech[: 2 * SECOND]), make_window(sound=film), make_window(sound=film[:3_000])]
    together = base_model.predict(windows)
    read, music = ({heard.label: heard.score for heard in each.sound} for each in together[:2])
    assert read["speech"] == pytest.approx(together[0].speech_share, abs=1e-4)
    assert not {"music", "singing"} & read.keys()
    assert music.keys() == {"music"}
    for window, prediction in zip(windows, together, strict=True):
        assert base_model.predict([window])[0].sound == prediction.sound
    assert base_model.predict([make_window()])[0].sound == ()
