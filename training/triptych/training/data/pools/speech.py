"""The pool of utterances: digits, colours, phrases in three moods, and fillers, by many voices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import numpy as np

from triptych.training.data.benchmarks.tasks import COLOURS, DIGITS, MOODS
from triptych.training.data.pools.cache import TrackProgress, cached_pool, no_progress
from triptych.training.data.pools.voices import (
    ACCENTS,
    ESPEAK_VARIANTS,
    FLITE_VOICES,
    RECORDED,
    RECORDINGS,
    Engine,
    Manner,
    Samples,
    SpokenPhrase,
    check_synthesisers,
    missing_package,
    read_sound,
    synthesise,
)

PHRASES: Final = (
    "at the station", "on the table", "by the window", "near the river",
    "after dinner", "at the office", "this afternoon", "in the kitchen",
)  # fmt: skip
"""Spoken in any mood. Only the voice expresses the mood."""
FILLERS: Final = ("hello", "listen", "anyway", "goodbye", "thank you", "please")
_RECORDED_FILLERS: Final = ("hello", "goodbye", "auth-thankyou")

_TEMPI: Final = {"negative": (0.62, 0.74), "neutral": (0.95, 1.08), "positive": (1.45, 1.7)}
_PITCHES: Final = {"negative": (0.05, 0.3), "neutral": (0.4, 0.6), "positive": (0.75, 1.0)}
_VALIDATION_VOICES, _TEST_VOICES = 8, 12
_ESPEAK_TAKES: Final = {"digit": 2, "colour": 4, "mood": 5, "filler": 6}
_TRAIN_TAKES: Final = {"digit": 4, "colour": 6, "mood": 8, "filler": 6}
_FLITE_TAKES: Final = {"digit": 6, "colour": 10, "mood": 12, "filler": 18}
_NARROW_SHARE: Final = 0.25
_THREADS: Final = 2

_RECIPE: Final = {
    "version": 1,
    "accents": ACCENTS,
    "espeak": ESPEAK_VARIANTS,
    "flite": FLITE_VOICES,
    "takes": [_ESPEAK_TAKES, _TRAIN_TAKES, _FLITE_TAKES],
    "said": [DIGITS, COLOURS, PHRASES, FILLERS],
    "manners": [_TEMPI, _PITCHES],
    "held_out": [_VALIDATION_VOICES, _TEST_VOICES],
    "narrow": _NARROW_SHARE,
}


@dataclass(frozen=True, slots=True)
class _Take:
    """One utterance to synthesise, and its place in the pool."""

    split: str
    kind: str
    value: int
    utterance: SpokenPhrase
    narrow: bool

    @property
    def key(self) -> str:
        return f"{self.split}/{self.kind}/{self.value}"


class SpeechPool:
    """Random utterances, int16 [S] at 16 kHz. The samples are memory-mapped."""

    def __init__(self, folder: Path) -> None:
        self._samples = cast("Samples", np.load(folder / "samples.npy", mmap_mode="r"))
        with np.load(folder / "places.npz") as places:
            self._places = {key: places[key] for key in places.files}

    def utterance(self, split: str, kind: str, value: int, rng: Random) -> Samples:
        """Return a random utterance, int16 [S].

        Args:
            split: split of the pool.
            kind: `digit`, `colour`, `mood` or `filler`.
            value: index of the value that it says.
            rng: source of randomness.
        """
        places = self._places[f"{split}/{kind}/{value}"]
        start, end = places[int(rng.random() * len(places))]
        return self._samples[start:end]

    def counts(self) -> dict[str, int]:
        """Return the number of utterances by `split/kind/value`."""
        return {key: len(places) for key, places in self._places.items()}


def speech_pool(folder: Path, track: TrackProgress[Any] = no_progress) -> SpeechPool:
    """Return the pool. Synthesises it first if it is not in the folder: about 8,000 utterances, a few minutes.

    Raises:
        UsageError: a synthesiser or the recordings are not installed.
    """
    return SpeechPool(cached_pool(folder, "speech", _RECIPE, lambda pool: _record(pool, track)))


def _record(pool: Path, track: TrackProgress[Any]) -> None:
    check_synthesisers()
    takes = list(_takes())
    found: dict[str, list[Samples]] = {}
    with ThreadPoolExecutor(_THREADS) as threads:
        sounds = [threads.submit(synthesise, take.utterance, pool, str(number)) for number, take in enumerate(takes)]
        for number in track(range(len(takes)), "speaking"):
            samples = sounds[number].result()
            found.setdefault(takes[number].key, []).append(_narrowed(samples) if takes[number].narrow else samples)
    for key, samples in _recordings():
        found.setdefault(key, []).append(samples)
    _write(pool, found)


def _write(pool: Path, found: dict[str, list[Samples]]) -> None:
    end = 0
    places: dict[str, list[tuple[int, int]]] = {}
    for key, utterances in found.items():
        for samples in utterances:
            places.setdefault(key, []).append((end, end + len(samples)))
            end += len(samples)
    np.save(pool / "samples.npy", np.concatenate([samples for utterances in found.values() for samples in utterances]))
    np.savez(pool / "places.npz", allow_pickle=False, **{key: np.array(ranges) for key, ranges in places.items()})


def _takes() -> Iterator[_Take]:
    variants = list(ESPEAK_VARIANTS)
    Random("voices").shuffle(variants)
    first, second = _TEST_VOICES, _TEST_VOICES + _VALIDATION_VOICES
    for split, variants_of_split in (
        ("test", variants[:first]), ("validation", variants[first:second]), ("train", variants[second:]),
    ):  # fmt: skip
        for variant in variants_of_split:
            counts = _TRAIN_TAKES if split == "train" else _ESPEAK_TAKES
            yield from _takes_of(split, "espeak-ng", variant, counts)
    for split, voices in FLITE_VOICES.items():
        for voice in voices:
            yield from _takes_of(split, "flite", voice, _FLITE_TAKES)


def _takes_of(split: str, engine: Engine, voice: str, counts: dict[str, int]) -> Iterator[_Take]:
    rng = Random(f"{engine}/{voice}")
    for kind, values in (("digit", DIGITS), ("colour", COLOURS), ("mood", MOODS), ("filler", ("",))):
        for value, word in enumerate(values):
            for _ in range(counts[kind]):
                text, manner = _spoken_text(kind, word, rng)
                full = f"{rng.choice(ACCENTS)}+{voice}" if engine == "espeak-ng" else voice
                narrow = rng.random() < _NARROW_SHARE
                yield _Take(split, kind, value, SpokenPhrase(engine, full, text, manner), narrow)


def _spoken_text(kind: str, word: str, rng: Random) -> tuple[str, Manner]:
    if kind == "mood":
        return rng.choice(PHRASES), Manner(rng.uniform(*_TEMPI[word]), rng.uniform(*_PITCHES[word]))
    manner = Manner(rng.uniform(0.75, 1.2), rng.uniform(0.2, 0.8))
    return (rng.choice(FILLERS) if kind == "filler" else word), manner


def _recordings() -> Iterator[tuple[str, Samples]]:
    if not RECORDINGS.is_dir():
        raise missing_package("a recorded voice")
    for value in range(len(DIGITS)):
        yield f"{RECORDED}/digit/{value}", read_sound(RECORDINGS / "digits" / f"{value}.wav")
    for name in _RECORDED_FILLERS:
        yield f"{RECORDED}/filler/0", read_sound(RECORDINGS / f"{name}.wav")


def _narrowed(samples: Samples) -> Samples:
    """Return the audio with the bandwidth of a telephone, as many recordings have: int16 [S]."""
    half = samples[: len(samples) // 2 * 2].astype(np.float32).reshape(-1, 2).mean(axis=1)  # [S] -> [S / 2]
    at = np.arange(len(half) * 2) / 2
    return cast("Samples", np.rint(np.interp(at, np.arange(len(half)), half)).astype(np.int16))


def voices_in(split: str) -> Sequence[str]:
    """Return the voices of a split without accents, for tests and reports."""
    return sorted(
        {take.utterance.voice.partition("+")[2] or take.utterance.voice for take in _takes() if take.split == split}
    )
