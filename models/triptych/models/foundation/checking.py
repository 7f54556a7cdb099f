"""Try a foundation model on pictures, sounds and sentences of known content: does it run here, how fast, is it sane.

A handful of examples shows that files, preprocessing and device work together. It measures no accuracy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from typing import Final, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.foundation.classifiers import Sentiment, SoundClassifier, best_labels
from triptych.models.foundation.detector_building import build_foundation_detector
from triptych.models.foundation.detectors import CLOSED_ARCHITECTURES
from triptych.models.foundation.files.model_files import ModelFiles
from triptych.models.foundation.open_vocabulary import OPEN_ARCHITECTURES
from triptych.models.foundation.space import build_foundation_space
from triptych.models.foundation.window_space import PictureSpace, SoundSpace
from triptych.models.prediction import WindowPrediction
from triptych.models.pretrained.silero import SAMPLE_RATE_HZ
from triptych.models.window import DetectionPicture, PreparedCue, PreparedWindow
from triptych.units import NS_PER_MS, NS_PER_S

_SOUND_S: Final = 2
_RUNS: Final = 3
_TOP: Final = 3
_SENTENCES: Final = ("I love this wonderful film.", "The train leaves at noon.", "This is terrible, I hate it.")
_SPEECH_CLASSIFIERS: Final = frozenset({"wav2vec2", "hubert", "wavlm", "unispeech-sat"})
_T = TypeVar("_T")


class _ExamplePicture(NamedTuple):
    """A frame of a sample clip, at a time in seconds, and a sentence that fits this one and not the others."""

    clip: str
    at_s: float
    text: str


PICTURES: Final = (
    _ExamplePicture("bbb_5s_51ch.mp4", 2.5, "a fat grey rabbit standing in green grass"),
    _ExamplePicture("librivox_city_15s.mkv", 1.0, "skyscrapers at night"),
    _ExamplePicture("sintel_608_10s.ts", 8.0, "mountains covered with snow"),
)
SOUNDS: Final = ("a person reading a book aloud", "white noise", "an electronic beep")


def check_model(model: ModelFiles, device: torch.device) -> Iterator[str]:
    """Load a model, and yield lines that say what it makes of the examples, and how long it takes on this device.

    Raises:
        UsageError: the files hold no model of a kind that Triptych runs, or the sample clips are not installed.
    """
    if model.architecture in (*CLOSED_ARCHITECTURES, *OPEN_ARCHITECTURES):
        yield from _detector(model, device)
    elif _classifies_sounds(model):
        yield from _sounds(model, device)
    elif _has_class(model, "ForSequenceClassification"):
        yield from _sentiment(model, device)
    else:
        space = build_foundation_space(model, device)
        yield f"{space.name}: {space.dimensions} dimensions"
        yield from _sound_ranks(space) if isinstance(space, SoundSpace) else _picture_ranks(space)


def ranks(queries: NDArray[np.float32], items: NDArray[np.float32]) -> list[int]:
    """Return the rank, from 1, of item i among all items for query i, of vectors float32 [N, D] each."""
    scores = queries @ items.T
    return [int((row > row[index]).sum()) + 1 for index, row in enumerate(scores)]


def _picture_ranks(space: PictureSpace) -> Iterator[str]:
    pictures = [_picture(shown).rgb_hwc_u8 for shown in PICTURES]
    vectors, took_ms = _timed(lambda: space.encoder.embed_pictures(pictures).cpu().numpy())
    yield from _ranked(space.embed_texts([shown.text for shown in PICTURES]), vectors, [s.text for s in PICTURES])
    yield f"{took_ms / len(pictures):.1f} ms a picture"
    yield from _text_latency(space)


def _sound_ranks(space: SoundSpace) -> Iterator[str]:
    windows = [_window(sound) for sound in _example_sounds()]
    found, took_ms = _timed(lambda: space.embed_windows(windows))
    vectors = np.stack([own.fused for own in found if own is not None])
    yield from _ranked(space.embed_texts(SOUNDS), vectors, SOUNDS)
    yield f"{took_ms / len(windows):.1f} ms a sound of {_SOUND_S} s"
    yield from _text_latency(space)


def _ranked(queries: NDArray[np.float32], items: NDArray[np.float32], texts: Sequence[str]) -> Iterator[str]:
    found = ranks(queries, items)
    for text, rank, cosine in zip(texts, found, (queries * items).sum(1), strict=True):
        yield f"{text!r}: what it describes is number {rank} of {len(items)}, cosine {cosine:.3f}"
    yield f"{found.count(1)} of {len(items)} first; by chance 1"


def _text_latency(space: PictureSpace | SoundSpace) -> Iterator[str]:
    _, took_ms = _timed(lambda: space.embed_texts(["a steel bridge over a river"]))
    yield f"{took_ms:.1f} ms a text"


def _detector(model: ModelFiles, device: torch.device) -> Iterator[str]:
    labels = ("rabbit", "skyscraper", "mountain") if model.architecture in OPEN_ARCHITECTURES else ()
    detector = build_foundation_detector(model, device, labels=labels)
    pictures = [_reduced(_picture(shown), detector.max_side) for shown in PICTURES]
    found, took_ms = _timed(lambda: detector.detect(pictures))
    for shown, own in zip(PICTURES, found, strict=True):
        best = ", ".join(f"{one.label} {one.score:.2f}" for one in own[:_TOP]) or "nothing"
        yield f"{shown.text!r}: {best}"
    yield f"{took_ms / len(pictures):.1f} ms a picture"


def _sounds(model: ModelFiles, device: torch.device) -> Iterator[str]:
    classifier = SoundClassifier(model, device, window_rate_hz=SAMPLE_RATE_HZ)
    windows = [_window(sound) for sound in _example_sounds()]
    found, took_ms = _timed(lambda: [classifier.logits(window)[0] for window in windows])
    for text, logits in zip(SOUNDS, found, strict=True):
        best = best_labels(classifier.labels, logits)[:_TOP]
        yield f"{text!r}: " + ", ".join(f"{label} (logit {number:.2f})" for label, number in best)
    yield f"{took_ms / len(windows):.1f} ms a sound of {_SOUND_S} s"


def _sentiment(model: ModelFiles, device: torch.device) -> Iterator[str]:
    classifier = Sentiment(model, device)
    windows = [_window(np.zeros(0, np.float32), text) for text in _SENTENCES]
    found, took_ms = _timed(lambda: [classifier.extend(window, WindowPrediction()) for window in windows])
    for text, prediction in zip(_SENTENCES, found, strict=True):
        scores = next(iter((prediction.predictions or {}).values()))
        yield f"{text!r}: " + ", ".join(f"{own.label} {own.score:.2f}" for own in scores[:_TOP])
    yield f"{took_ms / len(windows):.1f} ms a text"


def _classifies_sounds(model: ModelFiles) -> bool:
    return _has_class(model, "ForAudioClassification") or model.architecture in _SPEECH_CLASSIFIERS


def _has_class(model: ModelFiles, suffix: str) -> bool:
    return any(str(name).endswith(suffix) for name in model.config.get("architectures") or ())


def _timed(run: Callable[[], _T]) -> tuple[_T, float]:
    """Return the result of a run after the first one, and the median duration of `_RUNS` in milliseconds."""
    result = run()
    took_ns = []
    for _ in range(_RUNS):
        started_ns = time.monotonic_ns()
        result = run()
        took_ns.append(time.monotonic_ns() - started_ns)
    return result, float(np.median(took_ns)) / NS_PER_MS


def _picture(shown: _ExamplePicture) -> DetectionPicture:
    """Decode the frame of a sample clip."""
    import av  # noqa: PLC0415 - as in the worker, imported by those who decode

    with as_file(files("triptych.samples").joinpath(shown.clip)) as path, av.open(str(path)) as container:
        stream = container.streams.video[0]
        first_s: float | None = None
        for frame in container.decode(stream):
            first_s = frame.time if first_s is None else first_s
            if frame.time - first_s >= shown.at_s:
                break
        rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    return DetectionPicture(rgb, time_ns=0, width=rgb.shape[1], height=rgb.shape[0])


def _reduced(picture: DetectionPicture, max_side: int) -> DetectionPicture:
    """Return the picture as the worker gives it to a detector: its longer side is at most `max_side`."""
    import cv2  # noqa: PLC0415 - as above

    scale = max_side / max(picture.width, picture.height)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return replace(picture, rgb_hwc_u8=np.asarray(cv2.resize(picture.rgb_hwc_u8, size, interpolation=cv2.INTER_AREA)))


def _example_sounds() -> tuple[NDArray[np.float32], ...]:
    """Return the sounds of `SOUNDS`, float32 [S] each: of a sample clip, and generated."""
    import av  # noqa: PLC0415 - as above

    samples = _SOUND_S * SAMPLE_RATE_HZ
    chunks = []
    with as_file(files("triptych.samples").joinpath("librivox_city_15s.mkv")) as path, av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE_HZ)
        for frame in container.decode(audio=0):
            chunks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    speech = np.concatenate(chunks)[:samples].astype(np.float32) / np.float32(1 << 15)
    noise = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    beep = (0.3 * np.sin(2 * np.pi * 1_000 * np.arange(samples) / SAMPLE_RATE_HZ)).astype(np.float32)
    return speech, noise, beep


def _window(sound: NDArray[np.float32], text: str = "") -> PreparedWindow:
    return PreparedWindow(
        stream="check",
        start_ns=0,
        end_ns=_SOUND_S * NS_PER_S,
        frames_hwc_u8=(),
        frame_times_ns=(),
        audio_f32=sound,
        audio_present=((0, len(sound)),) if len(sound) else (),
        cues=(PreparedCue(text, 0, NS_PER_S),) if text else (),
    )
