"""Examples as files for people and programs: clips, contact sheets and WAV files.

A clip is lossless: FFV1, 16-bit PCM and plain subtitles. Frames are enlarged by an integer factor, so that a model with
small frames gets back the exact pixels, except for the loss of the producer's JPEG.
"""

from __future__ import annotations

import json
import wave
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
import cv2
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from triptych.models.window import PreparedWindow
from triptych.training.data.example import Example, Task
from triptych.units import NS_PER_MS, NS_PER_S

Pixels = NDArray[np.uint8]

ENLARGED: Final = 4
"""Factor of enlargement, a power of two up to 8. A JPEG of it can be decoded at the original size without blurring."""
FPS: Final = 4
_CHUNKS_PER_S: Final = 10
_MILLISECOND: Final = Fraction(1, 1_000)
_BANDS: Final = 48
_FFT: Final = 512


def write_clip(windows: Sequence[PreparedWindow], file: Path) -> None:
    """Write windows of equal length one after the other as a Matroska clip with video, audio and subtitle tracks.

    A modality that the first window lacks gets no track.
    """
    first = windows[0]
    with av.open(str(file), "w", format="matroska") as container:
        writers: list[_Track] = []
        if first.frames_hwc_u8:
            writers.append(_PictureTrack(container, first))
        if first.audio_present:
            writers.append(_SoundTrack(container, first))
        if first.cues:
            writers.append(_CueTrack(container))
        length_ns = first.end_ns - first.start_ns
        for number, window in enumerate(windows):
            for writer in writers:
                writer.write(window, number * length_ns)
        for writer in writers:
            writer.finish()


class _Track(ABC):
    @abstractmethod
    def write(self, window: PreparedWindow, at_ns: int) -> None:
        """Write the window's content of this track at its time in the clip."""

    @abstractmethod
    def finish(self) -> None:
        """Flush the encoder."""


class _PictureTrack(_Track):
    def __init__(self, container: OutputContainer, window: PreparedWindow) -> None:
        height, width = window.frames_hwc_u8[0].shape[:2]
        self._container = container
        self._stream = container.add_stream("ffv1", rate=FPS)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width * ENLARGED, height * ENLARGED, "bgr0"
        self._frame = 0

    def write(self, window: PreparedWindow, at_ns: int) -> None:
        """Show each frame for an equal part of the window, centred on its timestamp."""
        del at_ns  # frames follow one another
        shown = (window.end_ns - window.start_ns) * FPS // NS_PER_S
        for place in range(shown):
            picture = window.frames_hwc_u8[place * len(window.frames_hwc_u8) // shown]
            frame = av.VideoFrame.from_ndarray(enlarge(picture), format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = self._frame, Fraction(1, FPS)
            self._frame += 1
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))


class _SoundTrack(_Track):
    def __init__(self, container: OutputContainer, window: PreparedWindow) -> None:
        self._rate_hz = len(window.audio_f32) * NS_PER_S // (window.end_ns - window.start_ns)
        self._container = container
        self._stream = container.add_stream("pcm_s16le", rate=self._rate_hz, layout="mono")

    def write(self, window: PreparedWindow, at_ns: int) -> None:
        samples = to_s16(window)
        step = self._rate_hz // _CHUNKS_PER_S
        first = at_ns * self._rate_hz // NS_PER_S
        for start in range(0, len(samples), step):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis, start : start + step], format="s16", layout="mono")
            frame.sample_rate, frame.pts = self._rate_hz, first + start
            self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))


class _CueTrack(_Track):
    def __init__(self, container: OutputContainer) -> None:
        self._container = container
        self._stream = container.add_mux_stream("subrip")
        self._stream.time_base = _MILLISECOND

    def write(self, window: PreparedWindow, at_ns: int) -> None:
        for cue in window.cues:
            packet = av.Packet(cue.text.encode())
            packet.stream, packet.time_base = self._stream, _MILLISECOND
            packet.pts = packet.dts = (at_ns + cue.start_ns - window.start_ns) // NS_PER_MS
            packet.duration = (cue.end_ns - cue.start_ns) // NS_PER_MS
            self._container.mux(packet)

    def finish(self) -> None:
        """Do nothing: packets are written immediately."""


def write_item(example: Example, task: Task, folder: Path) -> None:
    """Write one example as a contact sheet (frames above the spectrogram), a WAV file, its text and its labels."""
    folder.mkdir(parents=True, exist_ok=True)
    window = example.window
    sheet = contact_sheet(window)
    if sheet is not None:
        cv2.imwrite(str(folder / "sheet.png"), sheet[..., ::-1])
    if window.audio_present:
        with wave.open(str(folder / "sound.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(task.spec.sample_rate_hz)
            file.writeframes(to_s16(window).tobytes())
    if window.cues:
        (folder / "words.txt").write_text("\n".join(cue.text for cue in window.cues) + "\n", encoding="utf-8")
    truth = json.dumps(truth_of(example, task), ensure_ascii=False, indent=1)
    (folder / "truth.json").write_text(truth + "\n", encoding="utf-8")


def truth_of(example: Example, task: Task) -> dict[str, object]:
    """Return the labels of an example with their names."""
    target = example.target
    indices = target if isinstance(target, tuple) else (target,)
    return {
        "id": example.id,
        "target": target if task.kind == "regression" else [task.labels[int(index)] for index in indices],
        "parts": {name: task.parts[name][value] if value >= 0 else None for name, value in example.parts.items()},
        "words": [cue.text for cue in example.window.cues],
    }


def contact_sheet(window: PreparedWindow) -> Pixels | None:
    """Return an RGB image, uint8 [H, W, 3]: frames in a row above the spectrogram; None without either."""
    rows: list[Pixels] = []
    if window.frames_hwc_u8:
        rows.append(np.concatenate([enlarge(frame) for frame in window.frames_hwc_u8], axis=1))
    if window.audio_present:
        rows.append(_spectrogram(window.audio_f32, width=rows[0].shape[1] if rows else 400))
    return np.concatenate(rows) if rows else None


def enlarge(picture: Pixels) -> Pixels:
    """Return the image [H, W, 3] with both sides `ENLARGED` times as long."""
    return picture.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)


def to_s16(window: PreparedWindow) -> NDArray[np.int16]:
    """Return the window's audio as int16 [S]."""
    return np.clip(np.rint(window.audio_f32 * 32_768), -32_768, 32_767).astype(np.int16)


def _spectrogram(samples: NDArray[np.float32], *, width: int) -> Pixels:
    """Return the power by time and frequency as an RGB image, uint8 [H, W, 3], low frequencies at the bottom."""
    usable = samples[: len(samples) // _FFT * _FFT].reshape(-1, _FFT)  # [S] -> [F, 512]
    power = np.abs(np.fft.rfft(usable * np.hanning(_FFT), axis=1)) ** 2  # [F, 257]
    level = np.clip((10 * np.log10(power + 1e-6) + 40) / 80, 0, 1)
    grey = np.rint(255 * level.T[::-1]).astype(np.uint8)
    large = cv2.resize(grey, (width, _BANDS * ENLARGED // 2), interpolation=cv2.INTER_NEAREST)
    return cast("Pixels", cv2.applyColorMap(large, cv2.COLORMAP_MAGMA)[..., ::-1])


def write_truths(examples: Iterable[Example], task: Task, file: Path) -> None:
    """Write the labels of each window of a clip as JSON lines, in order."""
    lines = [
        json.dumps({"window": number, **truth_of(example, task)}, ensure_ascii=False)
        for number, example in enumerate(examples)
    ]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
