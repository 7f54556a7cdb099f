"""How well silence, speech, music and singing are told apart: `python -m benchmarks.sounds KIND=FOLDER …`.

Each folder holds sound files of one kind, each file one piece: `music` (instrumental), `pop` (songs; whether the part
is sung is unknown), `song` (sung, accompanied), `singing` (unaccompanied), `speech`, `effects` (of games: some are
jingles), `silence`, `other`. Mixtures of pieces of speech and of music are made here, as `narration`. Half of the
files are read, by the checksum of their name: the limits were chosen on the other half. Each piece is cut into windows
of 2 s. A piece counts as speech, say, if on average more than half of its windows is. It prints the pieces found by
kind, precision and recall with 95 % Wilson intervals over pieces, the CPU time of a window, and the mistaken pieces.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.base import base_spec
from triptych.models.network.collate import collate, empty_batch
from triptych.models.network.parts import Features
from triptych.models.observed.observations import SPEECH_HEAD, build_observer
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.silero import SAMPLE_RATE_HZ, SpeechEncoder
from triptych.models.pretrained.weights import SILERO_VAD, load_weights
from triptych.models.window import PreparedWindow
from triptych.training.evaluation.classification import wilson_interval

Samples = NDArray[np.float32]

WINDOW_SAMPLES: Final = 2 * SAMPLE_RATE_HZ
LEAST_SAMPLES: Final = SAMPLE_RATE_HZ // 2
LABELS: Final = ("speech", "music", "singing", "silence")
HOLDS: Final[Mapping[str, frozenset[str]]] = {
    "music": frozenset({"music"}),
    "pop": frozenset({"music"}),
    "song": frozenset({"music", "singing"}),
    "singing": frozenset({"singing"}),
    "speech": frozenset({"speech"}),
    "narration": frozenset({"speech", "music"}),
    "effects": frozenset(),
    "silence": frozenset({"silence"}),
    "other": frozenset(),
}
UNKNOWN: Final[Mapping[str, frozenset[str]]] = {
    "pop": frozenset({"singing", "speech"}),
    "effects": frozenset({"music", "speech"}),
    "song": frozenset({"speech"}),
    "singing": frozenset({"speech", "music"}),
    "narration": frozenset({"singing"}),
}
MOST: Final = 0.5
"""A piece counts as what more than this share of it is."""
NARRATION_DB: Final = (0, -10)
"""Level of the music, relative to the speech."""


@dataclass(frozen=True)
class Piece:
    """A piece of sound: its kind, and mono audio float32 [S] at 16 kHz."""

    name: str
    kind: str
    audio: Samples


class Listener:
    """Finds sounds in pieces as the base model does."""

    def __init__(self) -> None:
        folder = cache_folder()
        self._observer = build_observer(("audio",), weights_folder=folder)
        self._encoder = SpeechEncoder(load_weights(SILERO_VAD, folder)).eval()
        self.cpu_s = 0.0
        self.windows = 0

    @torch.inference_mode()
    def shares(self, audio: Samples) -> dict[str, float]:
        """Return the mean share of each of `LABELS` over the windows of a piece."""
        sums: dict[str, float] = defaultdict(float)
        windows = list(_windows(audio))
        for window in windows:
            batch = collate([window], empty_batch(1, WINDOW_SAMPLES, base_spec(1)))
            steps = self._observer.heads[SPEECH_HEAD](Features({"audio": self._encoder(batch)}, None))[0].numpy()
            began_s = time.process_time()
            seen = self._observer.observe(window, {SPEECH_HEAD: steps}, sample_rate_hz=SAMPLE_RATE_HZ)
            self.cpu_s += time.process_time() - began_s
            for heard in seen.sound:
                sums[heard.label] += heard.score
        self.windows += len(windows)
        return {label: sums[label] / len(windows) for label in LABELS}


def _windows(audio: Samples) -> Iterator[PreparedWindow]:
    for start in range(0, max(1, audio.size - LEAST_SAMPLES), WINDOW_SAMPLES):
        own = audio[start : start + WINDOW_SAMPLES]
        padded = np.zeros(WINDOW_SAMPLES, np.float32)
        padded[: own.size] = own
        yield PreparedWindow(
            stream="",
            start_ns=0,
            end_ns=2_000_000_000,
            frames_hwc_u8=(),
            frame_times_ns=(),
            audio_f32=padded,
            audio_present=((0, own.size),),
            cues=(),
        )


def read_pieces(arguments: Sequence[str]) -> Iterator[Piece]:
    """Yield the files of each `KIND=FOLDER`, then the mixtures of speech and music."""
    by_kind: dict[str, list[Piece]] = defaultdict(list)
    for argument in arguments:
        kind, _, folder = argument.partition("=")
        if kind not in HOLDS or not Path(folder).is_dir():
            sys.exit(f"expected KIND=FOLDER with a kind of {', '.join(HOLDS)}, got {argument}")
        for file in filter(_is_held_out, sorted(Path(folder).iterdir())):
            by_kind[kind].append(Piece(file.stem, kind, _decoded(file)))
            yield by_kind[kind][-1]
    for number, (speech, music) in enumerate(zip(by_kind["speech"], by_kind["music"], strict=False)):
        length = min(speech.audio.size, music.audio.size)
        level_db = NARRATION_DB[number % len(NARRATION_DB)]
        gain = 10 ** (level_db / 20) * _level(speech.audio) / max(_level(music.audio), 1e-6)
        mixed = speech.audio[:length] + gain * music.audio[:length]
        yield Piece(
            f"{speech.name} + {music.name} {level_db} dB",
            "narration",
            (mixed / max(1, np.abs(mixed).max())).astype(np.float32),
        )


def _is_held_out(file: Path) -> bool:
    return hashlib.sha256(file.stem.encode()).digest()[0] % 2 == 1


def _decoded(file: Path) -> Samples:
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ)
    with av.open(file, metadata_errors="ignore") as container:
        parts = [part.to_ndarray()[0] for sound in container.decode(audio=0) for part in resampler.resample(sound)]
    return np.concatenate(parts)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _level(audio: Samples) -> float:
    return float(np.sqrt(np.square(audio).mean()))


def main() -> None:
    """Read the pieces, print the tables and the pieces that were judged wrongly."""
    torch.set_num_threads(1)
    listener = Listener()
    found: dict[str, list[frozenset[str]]] = defaultdict(list)
    wrong = []
    for piece in read_pieces(sys.argv[1:]):
        shares = listener.shares(piece.audio)
        labels = frozenset(label for label, share in shares.items() if share > MOST)
        found[piece.kind].append(labels)
        mistakes = (labels ^ HOLDS[piece.kind]) - UNKNOWN.get(piece.kind, frozenset()) - {"silence"}
        if mistakes:
            wrong.append(f"{piece.kind}: {piece.name}: " + " ".join(f"{name} {shares[name]:.2f}" for name in mistakes))
    _print("kind", found)
    _print_errors(found)
    _say(f"\n{1_000 * listener.cpu_s / listener.windows:.1f} ms of CPU for a window's sounds, level and loudness")
    _say("\n".join(["", *wrong]))


def _print(heading: str, found: Mapping[str, Sequence[frozenset[str]]]) -> None:
    _say(f"| {heading} | pieces | " + " | ".join(LABELS) + " |")
    _say("|---" * (len(LABELS) + 2) + "|")
    for kind, pieces in found.items():
        counts = [sum(label in labels for labels in pieces) for label in LABELS]
        _say(f"| {kind} | {len(pieces)} | " + " | ".join(map(str, counts)) + " |")


def _print_errors(found: Mapping[str, Sequence[frozenset[str]]]) -> None:
    _say("\n| label | precision | recall |")
    _say("|---|---|---|")
    for label in LABELS[:-1]:  # silence is a level: a piece that is called something else may well be silent
        known = {kind: pieces for kind, pieces in found.items() if label not in UNKNOWN.get(kind, frozenset())}
        holding = [label in labels for kind, pieces in known.items() if label in HOLDS[kind] for labels in pieces]
        others = [label in labels for kind, pieces in known.items() if label not in HOLDS[kind] for labels in pieces]
        flagged = sum(holding) + sum(others)
        _say(f"| {label} | {_rate(sum(holding), flagged)} | {_rate(sum(holding), len(holding))} |")


def _rate(hits: int, count: int) -> str:
    if not count:
        return "-"
    interval = wilson_interval(hits / count, count)
    return f"{hits} of {count}, {hits / count:.2f} ({interval.low:.2f} to {interval.high:.2f})"


if __name__ == "__main__":
    main()
