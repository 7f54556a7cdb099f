"""Component pools are rendered once, atomically, with real synthesisers and fonts, and disjoint between splits."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

import numpy as np
import pytest

from triptych.schemas.errors import UsageError
from triptych.training.data.pools import images, voices
from triptych.training.data.pools.cache import cached_pool, split_slices
from triptych.training.data.pools.speech import voices_in
from triptych.training.data.pools.voices import Engine, Manner, SpokenPhrase, read_sound, synthesise

REQUIRED = bool(os.environ.get("CI") or os.environ.get("TRIPTYCH_REQUIRE_SERVERS"))


def needs(there: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Skip on a machine without the programs that render components. CI has them."""
    if not there and not REQUIRED:
        pytest.skip("tools/system_packages.sh install benchmark-parts")


def test_a_pool_is_rendered_once(tmp_path: Path) -> None:
    """And again if the recipe changes."""
    made: list[str] = []

    def make(folder: Path) -> None:
        made.append(folder.name)
        (folder / "content").write_text("whole")

    first = cached_pool(tmp_path, "pool", {"version": 1}, make)
    assert cached_pool(tmp_path, "pool", {"version": 1}, make) == first
    (tmp_path / "new").mkdir()
    assert first.stat().st_mode == (tmp_path / "new").stat().st_mode  # others may read it
    assert cached_pool(tmp_path, "pool", {"version": 2}, make) != first
    assert len(made) == 2
    assert (first / "content").read_text() == "whole"


def test_a_pool_that_fails_is_not_kept(tmp_path: Path) -> None:
    """An incomplete folder cannot be mistaken for a pool."""

    def make(folder: Path) -> None:
        (folder / "content").write_text("half")
        raise UsageError("no voice")

    with pytest.raises(UsageError, match="no voice"):
        cached_pool(tmp_path, "pool", 1, make)
    assert list(tmp_path.iterdir()) == []


def test_split_slices_cover_everything_once() -> None:
    """60 %, 15 % and 25 %."""
    found = [list(range(1_797))[own] for own in split_slices(1_797).values()]
    assert [number for own in found for number in own] == list(range(1_797))
    assert [len(own) for own in found] == [1_078, 270, 449]


def test_no_voice_is_in_two_splits() -> None:
    """Test voices are unseen in training."""
    splits = [set(voices_in(split)) for split in ("train", "validation", "test", "engine")]
    assert [len(split) for split in splits] == [63, 8, 12, 1]
    assert sum(map(len, splits)) == len(set().union(*splits))


@pytest.mark.parametrize(("engine", "voice"), [("espeak-ng", "en-us+f2"), ("flite", "slt")])
def test_both_engines_speak_slower_and_faster(engine: Engine, voice: str, tmp_path: Path) -> None:
    """At 16 kHz, without silence around, at a fixed level. A slow tempo takes longer than a fast one."""
    needs(shutil.which(engine) is not None)
    slow, fast = (
        synthesise(SpokenPhrase(engine, voice, "at the station", Manner(tempo)), tmp_path, "take")
        for tempo in (0.7, 1.5)
    )
    assert len(slow) > 1.5 * len(fast)
    assert 3_000 < len(fast) < 32_000
    assert np.abs(fast).max() == pytest.approx(16_384, abs=2)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_synthesiser_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the command that installs it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"espeak-ng is missing.*apt-get install espeak-ng flite"):
        synthesise(SpokenPhrase("espeak-ng", "en", "one", Manner()), tmp_path, "take")


def test_recordings_are_read_at_16_khz() -> None:
    """The files have 8 kHz."""
    needs(voices.RECORDINGS.is_dir())
    seven = read_sound(voices.RECORDINGS / "digits" / "7.wav")
    assert 4_000 < len(seven) < 24_000


def test_glyphs_are_drawn_in_colour() -> None:
    """Each as often as requested, each time different, on a transparent background."""
    needs(images.FONT.is_file())
    pytest.importorskip("PIL") if not REQUIRED else None
    drawn = images._draw_glyphs("😀😡", 3, Random(0))  # noqa: SLF001 - drawing all of them takes seconds
    assert drawn.shape == (6, 48, 48, 4)
    assert len(np.unique(drawn, axis=0)) == 6
    assert drawn[..., 3].min() == 0
    assert drawn[..., 3].max() == 255
    yellow = drawn[0][drawn[0][..., 3] == 255].mean(axis=0)
    assert yellow[0] > yellow[2] + 80


def test_digit_images_are_disjoint_between_splits() -> None:
    """Each split has several images of each digit."""
    arrays = images._digits()  # noqa: SLF001 - as above
    assert len(arrays) == 30
    assert sum(map(len, arrays.values())) == 1_797
    assert all(pixels.shape[1:] == (30, 30) and pixels.max() == 255 for pixels in arrays.values())


def test_a_missing_font_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the command that installs it."""
    monkeypatch.setattr(images, "FONT", tmp_path / "none.ttf")
    with pytest.raises(UsageError, match="apt-get install fonts-noto-color-emoji"):
        images.picture_pool(tmp_path)
