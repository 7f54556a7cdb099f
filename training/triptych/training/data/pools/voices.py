"""Voices: two speech synthesisers and one recorded speaker, and the split of each voice.

espeak-ng (GPL-3, formant synthesis) has many voices. flite (a permissive licence of its own, unit selection and
statistical synthesis) has four usable ones. The prompts of Asterisk (CC-BY-SA-3.0) are recordings of a person. Nothing
of them is shipped.
"""

from __future__ import annotations

import shutil
import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import av
import numpy as np
from numpy.typing import NDArray

from triptych.schemas.errors import UsageError

Samples = NDArray[np.int16]
Engine = Literal["espeak-ng", "flite"]

RATE_HZ: Final = 16_000
OTHER_ENGINE: Final = "engine"
"""The split of a flite voice that no other split has."""
RECORDED: Final = "recorded"
"""The split of the recorded speaker."""
RECORDINGS: Final = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
PACKAGES: Final = "espeak-ng flite fonts-noto-color-emoji asterisk-core-sounds-en-wav"

ACCENTS: Final = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029")
_VARIANTS: Final = (
    "Alex Alicia Andrea Andy Annie AnxiousAndy Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike "
    "Nguyen RicishayMax RicishayMax2 RicishayMax3 Storm Tweaky adam anika antonio aunty belinda benjamin boris caleb "
    "david ed edward edward2 f1 f2 f3 f4 f5 gustave iven iven2 iven3 iven4 john kaukovalta klatt klatt2 klatt3 klatt4 "
    "linda m1 m2 m3 m4 m5 m6 m7 m8 marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby "
    "steph steph2 steph3 travis victor zac"
)
ESPEAK_VARIANTS: Final = tuple(_VARIANTS.split())
FLITE_VOICES: Final = {"train": ("slt", "awb", "kal16"), OTHER_ENGINE: ("rms",)}

_LIMIT_S: Final = 20
_LEVEL: Final = 0.5
_SILENCE: Final = 0.02
_EDGE_SAMPLES: Final = 400


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak: the tempo relative to normal, and the pitch from 0 to 1, where 0.5 is the voice's own."""

    tempo: float = 1.0
    pitch: float = 0.5


@dataclass(frozen=True, slots=True)
class SpokenPhrase:
    """A phrase to synthesise.

    Attributes:
        engine: synthesiser.
        voice: `accent+variant` of espeak-ng, or a voice name of flite.
        text: text to speak.
        manner: how to speak it.
    """

    engine: Engine
    voice: str
    text: str
    manner: Manner


def synthesise(utterance: SpokenPhrase, folder: Path, name: str) -> Samples:
    """Return the utterance at 16 kHz without silence around it, int16 [S]. Blocks while the synthesiser runs.

    Args:
        utterance: what to speak.
        folder: folder of a temporary file.
        name: name of the temporary file.

    Raises:
        UsageError: the synthesiser is not installed, or fails.
    """
    file = folder / f"{name}.wav"
    try:
        subprocess.run(_command(utterance, file), check=True, capture_output=True, timeout=_LIMIT_S)  # noqa: S603 - fixed arguments
    except FileNotFoundError:
        raise missing_package(utterance.engine) from None
    except subprocess.SubprocessError as error:
        raise UsageError(
            f"{utterance.engine} cannot speak {utterance.text!r} with the voice {utterance.voice}: {error}"
        ) from error
    samples = read_sound(file)
    file.unlink()
    return samples


def missing_package(what: str) -> UsageError:
    """Return an error that says how to install what the pools are rendered with."""
    return UsageError(f"{what} is missing, which renders the benchmarks; on Debian: apt-get install {PACKAGES}")


def check_synthesisers() -> None:
    """Raise `UsageError` if a synthesiser is not installed, before minutes are spent on the other one."""
    for engine in ("espeak-ng", "flite"):
        if shutil.which(engine) is None:
            raise missing_package(engine)


def read_sound(file: Path) -> Samples:
    """Return a WAV file as int16 [S] at 16 kHz, without silence around it and at a fixed peak level."""
    with wave.open(str(file)) as recording:
        rate_hz = recording.getframerate()
        raw = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
    return _levelled(_trimmed(_resampled(raw, rate_hz)))


def _command(utterance: SpokenPhrase, file: Path) -> list[str]:
    manner = utterance.manner
    if utterance.engine == "espeak-ng":
        speed, pitch = round(165 * manner.tempo), round(99 * manner.pitch)
        return ["espeak-ng", "-v", utterance.voice, "-s", str(speed), "-p", str(pitch), "-w", str(file), utterance.text]
    settings = (f"duration_stretch={1 / manner.tempo:.3f}", f"int_f0_target_mean={80 + 90 * manner.pitch:.0f}")
    flags = [word for setting in settings for word in ("--setf", setting)]
    return ["flite", "-voice", utterance.voice, *flags, "-t", utterance.text, "-o", str(file)]


def _resampled(samples: Samples, rate_hz: int) -> Samples:
    if rate_hz == RATE_HZ:
        return samples
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")  # [S] -> [1, S]
    frame.sample_rate = rate_hz
    parts: Sequence[NDArray[Any]] = [
        part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))
    ]
    return np.concatenate(parts).astype(np.int16)


def _trimmed(samples: Samples) -> Samples:
    loud = np.flatnonzero(
        np.abs(samples.astype(np.int32)) > _SILENCE * max(1, int(np.abs(samples.astype(np.int32)).max()))
    )
    if not len(loud):
        raise UsageError("expected an utterance, got silence")
    return samples[max(0, loud[0] - _EDGE_SAMPLES) : loud[-1] + _EDGE_SAMPLES]


def _levelled(samples: Samples) -> Samples:
    peak = max(1, int(np.abs(samples.astype(np.int32)).max()))
    return cast("Samples", np.rint(samples * (_LEVEL * 32_767 / peak)).astype(np.int16))
