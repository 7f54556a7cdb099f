"""What the flags of technical quality detect, on the sample clips: `python -m benchmarks.quality [FILE …]`.

Each window of 2 s of each clip is judged as it is and with one defect put in: black, frozen, blurred, moved, silent or
clipped media, encoded as a producer encodes it. It prints how many defects were flagged, how many sound windows were
flagged by mistake, both with Wilson intervals, and the CPU time of a window.
"""

from __future__ import annotations

import io
import sys
import time
import wave
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec
from triptych.models.window import PreparedWindow
from triptych.schemas.records import AudioChunk
from triptych.schemas.results import Quality, QualityFlag
from triptych.training.evaluation.classification import wilson_interval
from triptych.worker.media.audio import decode_audio
from triptych.worker.media.picture import decode_picture
from triptych.worker.media.quality import measure_quality
from triptych.worker.publishing.quality_flags import quality_flags

Frames = list[NDArray[np.uint8]]
Samples = NDArray[np.float32]

SAMPLES: Final = Path(__file__).parents[1] / "app" / "triptych" / "samples"
SPEC: Final = InputSpec(frames=4, height=224, width=224, sample_rate_hz=16_000)
WINDOW_S: Final = 2.0
RATE_HZ: Final = 44_100
JPEG_QUALITY: Final = 85
TURNED_AFTER: Final = 6
"""After how many windows the camera is turned."""


@dataclass(frozen=True)
class Clip:
    """Two seconds of a clip: frames RGB uint8 `[H, W, 3]`, and mono audio float32 `[S]` at 44.1 kHz."""

    name: str
    frames: Frames
    audio: Samples


Defect = Callable[[Clip], Clip]


def clips(path: Path) -> Iterator[Clip]:
    """Yield the windows of a file, each with four evenly spaced frames."""
    frames: dict[int, Frames] = defaultdict(list)
    with av.open(path) as container:
        for frame in container.decode(video=0):
            frames[int((frame.time or 0.0) // WINDOW_S)].append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
    resampler = av.AudioResampler("flt", "mono", RATE_HZ)
    with av.open(path) as container:
        parts = [part.to_ndarray()[0] for sound in container.decode(audio=0) for part in resampler.resample(sound)]
    audio = np.concatenate(parts)
    for number, of_window in sorted(frames.items()):
        first, last = (round(at * WINDOW_S * RATE_HZ) for at in (number, number + 1))
        if len(of_window) >= SPEC.frames and last <= len(audio):
            chosen = np.linspace(0, len(of_window) - 1, SPEC.frames).astype(int)
            yield Clip(f"{path.name} {number}", [of_window[index] for index in chosen], audio[first:last])


def measured(clip: Clip) -> Quality:
    """Return the measures of a window that was encoded as JPEG and as 16-bit WAV, and decoded as a worker does."""
    decoded = []
    for frame in clip.frames:
        _, data = cv2.imencode(".jpg", frame[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
        decoded.append(decode_picture(data.tobytes(), SPEC))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.clip(clip.audio, -1, 1) * 32_767).astype("<i2").tobytes())
    end_ns = round(WINDOW_S * 1e9)
    chunk = AudioChunk(
        stream="clip", id="1", source="clip", session="s", start_ns=0, end_ns=end_ns, data=buffer.getvalue()
    )
    samples = decode_audio(chunk, SPEC.sample_rate_hz).samples
    quality = measure_quality(_window(decoded, samples))
    return Quality() if quality is None else quality


def _window(frames: Sequence[NDArray[np.uint8]], samples: Samples) -> PreparedWindow:
    return PreparedWindow(
        stream="clip",
        start_ns=0,
        end_ns=round(WINDOW_S * 1e9),
        frames_hwc_u8=tuple(frames),
        frame_times_ns=tuple(range(len(frames))),
        audio_f32=samples,
        audio_present=((0, len(samples)),),
        cues=(),
    )


def blurred(clip: Clip) -> Clip:
    """Defocus by a Gaussian of 2 % of the height."""
    sigma = 0.02 * clip.frames[0].shape[0]
    return Clip(clip.name, [_u8(cv2.GaussianBlur(frame, (0, 0), sigma)) for frame in clip.frames], clip.audio)


def slightly_blurred(clip: Clip) -> Clip:
    """Defocus by a Gaussian of 1 % of the height."""
    sigma = 0.01 * clip.frames[0].shape[0]
    return Clip(clip.name, [_u8(cv2.GaussianBlur(frame, (0, 0), sigma)) for frame in clip.frames], clip.audio)


def black(clip: Clip) -> Clip:
    """Show 5 % of the light, with the noise of a sensor."""
    random = np.random.default_rng(1)
    return Clip(clip.name, [_u8(frame * 0.05 + random.normal(4, 2, frame.shape)) for frame in clip.frames], clip.audio)


def frozen(clip: Clip) -> Clip:
    """Repeat the first frame."""
    return Clip(clip.name, clip.frames[:1] * len(clip.frames), clip.audio)


def silent(clip: Clip) -> Clip:
    """Attenuate by 70 dB."""
    return Clip(clip.name, clip.frames, clip.audio * np.float32(10 ** (-70 / 20)))


def clipping(clip: Clip) -> Clip:
    """Amplify to a peak 12 dB above full scale, and limit."""
    peak = max(float(np.abs(clip.audio).max()), 1e-3)
    return Clip(clip.name, clip.frames, np.clip(clip.audio * (10 ** (12 / 20) / peak), -1, 1).astype(np.float32))


def _u8(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.clip(np.asarray(values, np.float64), 0, 255).astype(np.uint8)


def camera(clip: Clip, *, seed: int, turn: float) -> list[Clip]:
    """Return twelve windows of a fixed camera that looks at the clip's first frame, turned after the sixth.

    `turn` is by which share of the width the view moves. Sensor noise and a vibration of a pixel change each frame.
    """
    random = np.random.default_rng(seed)
    wide = clip.frames[0]
    view = wide.shape[1] * 6 // 10
    windows = []
    for number in range(2 * TURNED_AFTER):
        left = round(turn * wide.shape[1]) if number >= TURNED_AFTER else 0
        frames = []
        for _ in range(SPEC.frames):
            shake = int(random.integers(0, 2))
            part = wide[:, left + shake : left + shake + view]
            frames.append(_u8(part + random.normal(0, 3, part.shape)))
        windows.append(Clip(clip.name, frames, clip.audio))
    return windows


DEFECTS: Final[dict[str, tuple[QualityFlag, Defect]]] = {
    "black: 5 % of the light, noise": ("black", black),
    "frozen: the same frame again": ("frozen", frozen),
    "blurred: Gaussian of 2 % of the height": ("blurred", blurred),
    "blurred: Gaussian of 1 % of the height": ("blurred", slightly_blurred),
    "silent: -70 dB": ("silent", silent),
    "clipping: peak at +12 dB": ("clipping", clipping),
}


def _share(found: int, count: int) -> str:
    interval = wilson_interval(found / count, count) if count else None
    limits = f" ({interval.low:.2f} to {interval.high:.2f})" if interval else ""
    return f"{found} of {count}{limits}"


def main(args: Sequence[str]) -> None:
    """Print the table."""
    paths = [Path(arg) for arg in args] or sorted(p for p in SAMPLES.iterdir() if p.suffix in {".mp4", ".mkv", ".ts"})
    windows = [clip for path in paths for clip in clips(path)]
    sound = [measured(clip) for clip in windows]
    mistaken: dict[str, list[str]] = defaultdict(list)
    for clip, quality in zip(windows, sound, strict=True):
        for flag in quality_flags(quality, ()):
            mistaken[flag].append(clip.name)
    lines = [f"{len(windows)} windows of {len(paths)} clips", "", "defect: flagged"]
    for name, (flag, defect) in DEFECTS.items():
        clean = [clip for clip in windows if clip.name not in mistaken[flag]]
        found = sum(flag in quality_flags(measured(defect(clip)), ()) for clip in clean)
        lines.append(f"{name}: {_share(found, len(clean))}")
    for turn in (0.1, 0.2, 0.4):
        moved, early, runs = 0, 0, 0
        for seed, clip in enumerate(windows):
            before: list[Quality] = []
            for each in map(measured, camera(clip, seed=seed, turn=turn)):
                before.append(each.model_copy(update={"flags": quality_flags(each, before[-8:])}))
            runs += 1
            moved += any("moved" in each.flags for each in before[TURNED_AFTER:])
            early += any("moved" in each.flags for each in before[:TURNED_AFTER])
        lines.append(
            f"moved: by {turn:.0%} of the width: {_share(moved, runs)}; before it moved: {_share(early, runs)}"
        )
    lines += ["", "windows without a defect: flagged"]
    lines += [f"{f}: {_share(len(mistaken[f]), len(windows))} {', '.join(mistaken[f])}" for f in get_args(QualityFlag)]
    lines += ["", _cost(windows[0])]
    sys.stdout.write("\n".join(lines) + "\n")


def _cost(clip: Clip, rounds: int = 200) -> str:
    """Return the CPU time of measuring a window of 4 frames and 2 s, as a share of decoding its frames."""
    data = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in clip.frames]
    samples = np.zeros(round(WINDOW_S * SPEC.sample_rate_hz), np.float32)
    window = _window([decode_picture(each, SPEC) for each in data], samples)
    times = []
    for work in (lambda: measure_quality(window), lambda: [decode_picture(each, SPEC) for each in data]):
        begun = time.process_time()
        for _ in range(rounds):
            work()
        times.append((time.process_time() - begun) / rounds * 1e3)
    height, width, _ = clip.frames[0].shape
    return f"CPU: {times[0]:.2f} ms a window; decoding its four frames of {width}x{height}: {times[1]:.2f} ms"


if __name__ == "__main__":
    main(sys.argv[1:])
