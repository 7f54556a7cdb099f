"""Small component pools, with the layout of those that take minutes to render."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from triptych.training.data.benchmarks.benchmark import BENCHMARKS, GeneratedDataset
from triptych.training.data.benchmarks.tasks import COLOURS, DIGITS, MOODS
from triptych.training.data.pools.cache import POOL_SPLITS
from triptych.training.data.pools.images import DIGIT_SIZE, HELD_OUT, MARGIN, SIZE, PicturePool
from triptych.training.data.pools.speech import SpeechPool
from triptych.training.data.pools.voices import OTHER_ENGINE, RECORDED

_ITEMS = 3


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PicturePool:
    """A few image components of noise."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0)
    side = SIZE + 2 * MARGIN
    for shelf in POOL_SPLITS:
        np.save(folder / f"backdrop-{shelf}", noise.integers(0, 256, (_ITEMS, side, side, 3), np.uint8))
        for value in range(len(DIGITS)):
            np.save(
                folder / f"digit-{value}-{shelf}", noise.integers(0, 256, (_ITEMS, DIGIT_SIZE, DIGIT_SIZE), np.uint8)
            )
        np.save(folder / f"thing-{shelf}", noise.integers(0, 256, (_ITEMS, SIZE, SIZE, 4), np.uint8))
    for shelf in (*POOL_SPLITS, HELD_OUT):
        for mood in MOODS:
            np.save(folder / f"{mood}-{shelf}", noise.integers(0, 256, (_ITEMS, SIZE, SIZE, 4), np.uint8))
    return PicturePool(folder)


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> SpeechPool:
    """Utterances of noise, some longer than a window."""
    folder = tmp_path_factory.mktemp("speech")
    keys = [
        f"{shelf}/{kind}/{value}"
        for shelf in (*POOL_SPLITS, OTHER_ENGINE, RECORDED)
        for kind, values in (("digit", DIGITS), ("colour", COLOURS), ("mood", MOODS), ("filler", ("",)))
        for value in range(len(values))
    ]
    lengths = np.random.default_rng(1).integers(4_000, 34_000, len(keys))
    ends = lengths.cumsum()
    np.savez(
        folder / "places.npz",
        allow_pickle=False,
        **{key: np.array([[end - length, end]]) for key, length, end in zip(keys, lengths, ends, strict=True)},
    )
    np.save(folder / "samples.npy", np.random.default_rng(2).integers(-9_000, 9_000, ends[-1], np.int16))
    return SpeechPool(folder)


@pytest.fixture(params=BENCHMARKS)
def dataset(request: pytest.FixtureRequest, pictures: PicturePool, speech: SpeechPool) -> GeneratedDataset:
    """Each of the generated benchmarks."""
    return GeneratedDataset(BENCHMARKS[request.param], pictures, speech)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    return tmp_path
