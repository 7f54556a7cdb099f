"""A stream of ultrasound-like images through producer, topics, worker and subscriber, in memory.

    python -m examples.medical.stream      from the top folder of the repository

A multi-frame DICOM file is drawn, read without identity, and written as a lossless clip. A small model that finds a
dark disc (a "cyst" of the phantom) is trained, and the worker runs it on each window of the stream. Needs the extras
`producers`, `worker`, `consumers`, `train` and `medical`. A recipe on generated phantoms: not a product and not a
medical device.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage, generate_uid

from examples.medical.dicom import read_dicom
from examples.medical.notice import NOTICE
from examples.medical.studies import SIDE, model_picture
from triptych.demo_parts import parts_in_memory
from triptych.models.model import InputSpec
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.window import PreparedWindow
from triptych.producers.run import produce_all
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import FileSource
from triptych.schemas.results import Result
from triptych.service.health import Health
from triptych.settings.loading import load
from triptych.training.callbacks import ValidationRecord
from triptych.training.config import NetworkConfig, TrainConfig
from triptych.training.data.example import Example, Task
from triptych.training.data.rendering import write_clip
from triptych.training.run import TrainingPlan, train
from triptych.worker.run import WholeLog
from triptych.worker.wiring import Dependencies, open_pipeline

LABELS: Final = ("no cyst", "cyst")
FRAMES: Final = 2
WINDOW_NS: Final = 2_000_000_000
_START_NS: Final = 1_767_225_600_000_000_000
_SECTOR: Final = 96
_FRAME_MS: Final = 1_000.0


def draw_ultrasound(name: str, *, has_cyst: bool) -> NDArray[np.uint8]:
    """Return the frames of one window: speckle in a sector, with or without a dark disc, uint8 [2, 96, 96]."""
    rng = Random(name)  # noqa: S311 - it draws examples and protects nothing
    noise = np.random.default_rng(rng.getrandbits(64))
    sector = np.zeros((_SECTOR, _SECTOR))
    cv2.ellipse(sector, (48, 0), (90, 90), 0, 50, 130, 1.0, -1)
    x, y, radius = rng.randrange(34, 62), rng.randrange(36, 66), rng.randrange(9, 14)
    frames = []
    for frame in range(FRAMES):
        tissue = cv2.GaussianBlur(noise.gamma(2.0, 45.0, sector.shape), (0, 0), 1.2)
        if has_cyst:
            cv2.circle(tissue, (x + frame, y), radius, 8.0, -1)
        frames.append(np.clip(tissue * sector, 0, 255))
    return np.array(frames).astype(np.uint8)


def write_ultrasound(frames: NDArray[np.uint8], file: Path) -> None:
    """Write frames, uint8 [F, H, W], as a multi-frame DICOM file with an invented patient."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = UltrasoundMultiFrameImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    image = FileDataset(file.name, Dataset(), file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.PatientName, image.PatientID, image.Modality, image.BurnedInAnnotation = "Phantom^Invented", "1", "US", "NO"
    image.NumberOfFrames, image.Rows, image.Columns = frames.shape
    image.FrameTime = _FRAME_MS
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    image.WindowCenter, image.WindowWidth = 127.5, 255
    image.PixelData = frames.tobytes()
    image.save_as(file, enforce_file_format=True)


def ultrasound_window(frames: NDArray[np.uint8]) -> PreparedWindow:
    """Return the frames of one window, uint8 [2, H, W], as a window with video only."""
    pictures = tuple(np.repeat(model_picture(frame)[..., np.newaxis], 3, axis=2) for frame in frames)
    times = tuple((2 * place + 1) * WINDOW_NS // (2 * FRAMES) for place in range(FRAMES))
    return PreparedWindow("ultrasound", 0, WINDOW_NS, pictures, times, np.zeros(32_000, np.float32), (), ())


class UltrasoundDataset:
    """Generated windows: every other one has a cyst."""

    splits = ("train", "validation")

    def __init__(self, train_size: int) -> None:
        self._train_size = train_size
        self.task = Task("ultrasound", "multiclass", LABELS, {}, InputSpec(FRAMES, SIDE, SIDE, 16_000, 0), WINDOW_NS)

    def size(self, split: str) -> int:
        """Return the number of examples."""
        return self._train_size if split == "train" else 32

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return the examples at these indices."""
        return [self._example(f"{split}/{index}", index % len(LABELS)) for index in indices]

    def _example(self, name: str, label: int) -> Example:
        return Example(name, ultrasound_window(draw_ultrasound(name, has_cyst=bool(label))), label, {}, name)


class _Silent:
    def on_step(self, step: int, loss: float) -> None:
        """Show nothing."""

    def on_validation(self, record: ValidationRecord) -> None:
        """Show nothing."""


def train_detector(folder: Path, steps: int) -> None:
    """Train the model in a folder with the project's trainer. Blocks."""
    config = TrainConfig(
        network=NetworkConfig(fusion="concat", modalities=("video",), width=32, dropout=0.0),
        steps=steps, batch=16, rate=3e-3, evaluate_every=max(1, steps // 4), validation_size=32,
        augment=False,  # its changes of brightness and its noise would hide a dark disc in speckle
    )  # fmt: skip
    plan = TrainingPlan("ultrasound", folder, seeds=1, resume=False, weights_folder=cache_folder())
    train(UltrasoundDataset(256), config, plan, device=torch.device("cpu"), callback_for_seed=lambda _: _Silent())


def stream_results(truths: Sequence[bool], model: Path, folder: Path) -> list[Result]:
    """Play a DICOM file of one window per truth through producer and worker; return the results in order. Blocks."""
    frames = np.concatenate([
        draw_ultrasound(f"stream/{number}", has_cyst=truth) for number, truth in enumerate(truths)
    ])  # fmt: skip
    write_ultrasound(frames, folder / "scan.dcm")
    scan = read_dicom(folder / "scan.dcm")
    windows = [ultrasound_window(own) for own in scan.frames.reshape(-1, FRAMES, *scan.frames.shape[1:])]
    write_clip(windows, folder / "scan.mkv")
    settings = load(None, {"model.name": str(model), "model.detector": "off", "model.runtime": "torch"})
    with ExitStack() as stack:
        parts = parts_in_memory(stack, settings)
        source = FileSource(folder / "scan.mkv")
        plan = PlaybackPlan(source=source, stream="ultrasound", start_at_ns=_START_NS, realtime=False)
        for outcome in produce_all([plan], parts.transport, stop=threading.Event()):
            if outcome.error is not None:
                raise outcome.error
        around = Dependencies(parts.transport, parts.store, [], Health())
        worker = stack.enter_context(open_pipeline(settings, around, WholeLog.of(settings)))
        worker.run(threading.Event(), until_end=lambda: True)
        return sorted(parts.subscriber.results(until_end=True), key=lambda result: result.start_ns)


def main() -> None:
    """Train, play the stream, and print one line per window."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], epilog=NOTICE)
    parser.add_argument("--steps", type=int, default=60, metavar="N")
    steps = parser.parse_args().steps
    truths = [number % 3 == 0 for number in range(8)]
    print(NOTICE)
    with tempfile.TemporaryDirectory() as folder:
        train_detector(Path(folder) / "model", steps)
        results = stream_results(truths, Path(folder) / "model", Path(folder))
    for result, truth in zip(results, truths, strict=True):
        best = result.predictions["target"][0]
        print(f"window {result.start_ns}: {best.label} (score {best.score:.2f}); drawn: {LABELS[truth]}")


if __name__ == "__main__":
    main()
