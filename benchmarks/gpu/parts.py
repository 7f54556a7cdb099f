"""The parts of the GPU's path, each compared with the CPU's numbers.

Every function takes the device, so that what does not depend on CUDA also runs on a CPU in tests.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.gpu.report import Check, PartReport
from triptych.models.base import base_spec
from triptych.models.execution.cuda_graphs import record_cuda_graph
from triptych.models.execution.warmup_window import full_window
from triptych.models.network.collate import WindowBatch, empty_batch
from triptych.models.pretrained.efficientnet import ImageEncoder
from triptych.models.window import PreparedWindow

if TYPE_CHECKING:
    from triptych.models.execution.runtime import TorchModel

WINDOW_NS: Final = 2_000_000_000
FRAMES: Final = 4
BATCH: Final = 32
_RUNS: Final = 20
_COSINE: Final = 0.99
_SAME_LABEL: Final = 0.9
_SAMPLES: Final = Path(__file__).parents[2] / "app" / "triptych" / "samples"
_CLIPS: Final = tuple(_SAMPLES / name for name in ("bbb_5s_51ch.mp4", "librivox_city_15s.mkv", "sintel_608_10s.ts"))

Picture = NDArray[np.uint8]
Scores = NDArray[np.float32]


def base_model(device: str, *, max_batch: int, cuda_graphs: bool = False) -> TorchModel:
    """Return the base model on a device, warm. On a CPU it runs in PyTorch, float32."""
    from triptych.models.build import ModelChoice, build_model  # noqa: PLC0415 - reads the weights

    choice = ModelChoice(
        "base",
        frames=FRAMES,
        window_ns=WINDOW_NS,
        max_batch=max_batch,
        device=device,
        runtime="torch",
        cuda_graphs=cuda_graphs,
    )
    model = build_model(choice)
    model.warm()
    return model  # type: ignore[return-value]  # the base model is one


def windows(count: int, model: TorchModel) -> list[PreparedWindow]:
    """Return windows of pictures of the sample clips, quiet seeded noise and a cue."""
    rng = np.random.default_rng(3)
    first = full_window(WINDOW_NS, model.spec)
    pictures = clip_pictures(count * FRAMES, model.spec.width, model.spec.height)
    return [
        replace(
            first,
            frames_hwc_u8=tuple(pictures[number * FRAMES : (number + 1) * FRAMES]),
            audio_f32=rng.normal(0, 0.05, first.audio_f32.shape).astype(np.float32),
        )
        for number in range(count)
    ]


def clip_pictures(count: int, width: int, height: int) -> list[Picture]:
    """Return pictures of the sample clips in turn, evenly spaced in each: RGB uint8 [height, width, 3]."""
    clips = [_decoded(path, width, height) for path in _CLIPS]
    share = -(-count // len(clips))
    chosen = [[clip[number * len(clip) // share] for number in range(share)] for clip in clips]
    return [each for turn in zip(*chosen, strict=True) for each in turn][:count]


@cache
def _decoded(path: Path, width: int, height: int) -> tuple[Picture, ...]:
    with av.open(str(path)) as clip:
        return tuple(
            np.asarray(cv2.resize(frame.to_ndarray(format="rgb24"), (width, height), interpolation=cv2.INTER_AREA))
            for frame in clip.decode(video=0)
        )


@cache
def cpu_scores(count: int) -> Scores:
    """Return the scores of the labels of `windows` on the CPU, float32 [count, labels]: what the GPU must come near."""
    model = base_model("cpu", max_batch=8)
    return scores(model, windows(count, model))


def scores(model: TorchModel, given: Sequence[PreparedWindow]) -> Scores:
    """Return the scores of the labels, float32 [windows, labels]."""
    outputs = model._run(given)  # noqa: SLF001 - the numbers before they become labels
    assert outputs is not None  # noqa: S101 - nothing is run beyond the memory here
    return np.asarray(outputs["labels"][: len(given)], np.float32)


def agreement(expected: Scores, got: Scores) -> list[Check]:
    """Return the checks that rows [N, labels] agree: by their cosine, and by their best label."""
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(got, axis=1)
    cosines = (expected * got).sum(1) / np.maximum(norms, 1e-12)
    same = float((expected.argmax(1) == got.argmax(1)).mean())
    return [
        Check("least cosine to the CPU's scores", float(cosines.min()), least=_COSINE),
        Check("share of equal best labels", same, least=_SAME_LABEL),
    ]


def timed_ms(work: Callable[[], object], device: str, runs: int = _RUNS) -> float:
    """Return the median of some runs in milliseconds, to the end of what they have started on the device."""
    took = []
    for _ in range(runs):
        _wait(device)
        began_s = time.perf_counter()
        work()
        _wait(device)
        took.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(took)


def copies(device: str) -> PartReport:
    """Copy batches from pageable and from pinned memory, and from pinned memory on a stream of its own beside work."""
    model_spec = base_spec(FRAMES)
    pinned = device != "cpu"
    samples = WINDOW_NS * model_spec.sample_rate_hz // 1_000_000_000
    pageable = _filled(empty_batch(BATCH, samples, model_spec))
    staging = _filled(empty_batch(BATCH, samples, model_spec, pinned=pinned))
    target = torch.device(device)
    there = staging.to(target)
    _wait(device)
    differences = [
        float((one.float() - other.cpu().float()).abs().max()) if one.numel() else 0.0
        for one, other in zip(staging.tensors(), there.tensors(), strict=True)
    ]
    times = {
        "from pageable memory": timed_ms(lambda: pageable.to(target, non_blocking=False), device),
        "from pinned memory": timed_ms(lambda: staging.to(target), device),
    }
    if pinned:
        times |= _beside_work(staging, target)
    is_pinned = float(all(tensor.is_pinned() == pinned for tensor in staging.tensors() if tensor.numel()))
    checks = [
        Check("largest difference after the copy", max(differences), most=0),
        Check("pinned as asked for", is_pinned, least=1),
    ]
    return PartReport("copies", checks, times)


def precision(device: str) -> PartReport:
    """Compare bfloat16 on the GPU with float32 on the CPU, and time a batch."""
    model = base_model(device, max_batch=BATCH)
    given = windows(BATCH, model)
    checks = agreement(cpu_scores(BATCH), scores(model, given))
    slow = base_model("cpu", max_batch=8)
    few = given[:8]
    times = {
        "a window on the CPU, float32": timed_ms(lambda: slow.predict(few), "cpu", runs=3) / len(few),
        f"a window on {device}": timed_ms(lambda: model.predict(given), device) / len(given),
    }
    return PartReport("precision", checks, times)


def graphs(device: str) -> PartReport:
    """Record the picture encoder for the fixed shapes, and compare it with the same kernels without recording."""
    encoder = _image_encoder(base_model(device, max_batch=1))
    pictures = torch.randint(0, 256, (BATCH * FRAMES, 224, 224, 3), dtype=torch.uint8, device=device)
    checks: list[Check] = []
    times: dict[str, float] = {}
    with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16):
        for count in (FRAMES, BATCH * FRAMES):
            example, other = pictures[:count], pictures.flip(0)[:count]
            run = record_cuda_graph(encoder.trunk, example)
            expected, got = encoder.trunk(other).float(), run(other).float()
            difference = float((expected - got).abs().max() / expected.abs().max())
            checks.append(Check(f"difference of {count} pictures", difference, most=1e-2))
            times[f"{count} pictures, eager"] = timed_ms(partial(encoder.trunk, other), device)
            times[f"{count} pictures, recorded"] = timed_ms(partial(run, other), device)
    model = base_model(device, max_batch=BATCH, cuda_graphs=True)
    given = windows(BATCH, model)
    checks += agreement(cpu_scores(BATCH), scores(model, given))
    times[f"{BATCH} windows of the model, recorded"] = timed_ms(lambda: model.predict(given), device)
    return PartReport("graphs", checks, times)


def jpeg_decoding(device: str) -> PartReport:
    """Decode JPEG where it is used (nvJPEG by torchvision), and compare with OpenCV on the CPU."""
    from torchvision.io import ImageReadMode, decode_jpeg  # type: ignore[import-untyped] # noqa: PLC0415

    files = jpeg_files(64, width=640, height=360)
    encoded = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]

    def on_device() -> list[Tensor]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torchvision 0.29 names TorchCodec as its successor
            decoded = decode_jpeg(encoded, mode=ImageReadMode.RGB, device=device)
        return list(decoded)

    def on_cpu() -> list[Picture]:
        return [np.asarray(cv2.imdecode(np.frombuffer(f, np.uint8), cv2.IMREAD_COLOR_RGB)) for f in files]

    differences = [
        float(np.abs(one.astype(np.int16) - other.permute(1, 2, 0).cpu().numpy().astype(np.int16)).mean())
        for one, other in zip(on_cpu(), on_device(), strict=True)
    ]
    checks = [Check("largest mean difference of a picture, of 255", max(differences), most=2.0)]
    count = len(files)
    times = {
        "a picture in OpenCV": timed_ms(on_cpu, "cpu", runs=5) / count,
        f"a picture on {device}": timed_ms(on_device, device, runs=5) / count,
    }
    return PartReport("jpeg", checks, times)


def out_of_memory(device: str) -> PartReport:
    """Take the memory away until a whole batch does not fit, and compare what the halved batches return."""
    model = base_model(device, max_batch=BATCH)
    given = windows(BATCH, model)
    expected = model.predict(given)
    torch.cuda.empty_cache()
    used = torch.cuda.memory_allocated(device) / torch.cuda.get_device_properties(device).total_memory
    limits = []
    # Not known beforehand: what a batch needs beside the weights. The share is halved until a batch no longer fits.
    share = 0.05
    try:
        while model._limit.current == BATCH and share > 1e-5:  # noqa: PLR2004, SLF001 - the limit is what is checked
            torch.cuda.set_per_process_memory_fraction(min(1.0, used + share), device)
            got = model.predict(given)
            limits.append(model._limit.current)  # noqa: SLF001
            share /= 2
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    same = [one.visual[:1] == other.visual[:1] for one, other in zip(expected, got, strict=True)]
    checks = [
        Check("batch that fits, of " + str(BATCH), limits[-1], least=1, most=BATCH // 2),
        Check("share of equal best labels", float(np.mean(same)), least=_SAME_LABEL),
    ]
    return PartReport("out of memory", checks)


def jpeg_files(count: int, *, width: int, height: int) -> list[bytes]:
    """Return smooth seeded pictures as JPEG, as a producer encodes them."""
    rng = np.random.default_rng(5)
    files = []
    for _ in range(count):
        block = rng.integers(0, 255, (9, 16, 3), np.uint8)
        pixels = cv2.resize(block, (width, height), interpolation=cv2.INTER_CUBIC)
        files.append(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
    return files


def _image_encoder(model: TorchModel) -> ImageEncoder:
    return next(part for part in model._network.modules() if isinstance(part, ImageEncoder))  # noqa: SLF001 - alone


def _filled(batch: WindowBatch) -> WindowBatch:
    generator = torch.Generator().manual_seed(1)
    batch.video.copy_(torch.randint(0, 256, batch.video.shape, generator=generator, dtype=torch.uint8))
    batch.audio.copy_(torch.rand(batch.audio.shape, generator=generator))
    return batch


def _beside_work(staging: WindowBatch, target: torch.device) -> dict[str, float]:
    """Time a product of matrices and a copy, one after the other and at the same time."""
    side = torch.rand(4096, 4096, device=target)
    stream = torch.Stream(target)

    def one_after_the_other() -> None:
        staging.to(target)
        for _ in range(4):
            side @ side

    def at_the_same_time() -> None:
        with stream:
            staging.to(target)
        for _ in range(4):
            side @ side

    return {
        "copy, then work": timed_ms(one_after_the_other, target.type),
        "copy beside work, on a stream": timed_ms(at_the_same_time, target.type),
    }


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)
