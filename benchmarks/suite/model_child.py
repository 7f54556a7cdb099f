"""A process that measures the base model. See `models.py`.

Run it with `python -m benchmarks.suite.model_child WHAT COUNT [CPUS]`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from benchmarks.frame import Cost, measured, print_cost
from triptych.service.cpus import model_threads
from triptych.service.process_tuning import tune_process

if TYPE_CHECKING:
    from triptych.models.execution.cpu_runtime import RuntimeName
    from triptych.models.execution.runtime import TorchModel

_WINDOW_NS: Final = 2_000_000_000
_BATCH: Final = 8
_PICTURES: Final = 2
"""How many pictures the encoder runs at a time on a CPU. Tensors of larger batches are beyond what glibc keeps."""
_OPERATIONS: Final = 780_000_000
"""Multiplications and additions of EfficientNet-Lite0 for a picture of 224 x 224."""


def _model(threads: int | None, runtime: RuntimeName = "auto") -> TorchModel:
    from triptych.models.build import ModelChoice, build_model  # noqa: PLC0415 - imports torch after the tuning

    choice = ModelChoice("base", frames=4, window_ns=_WINDOW_NS, max_batch=_BATCH, threads=threads, runtime=runtime)
    model = build_model(choice)
    model.warm()
    return model  # type: ignore[return-value]  # the base model is one


def _windows(count: int, threads: int | None) -> Cost:
    """Predict windows on a thread of its own, as the worker does."""
    from triptych.models.execution.warmup_window import full_window  # noqa: PLC0415

    model = _model(threads)
    batch = [full_window(_WINDOW_NS, model.spec)] * min(_BATCH, count)

    def work() -> float:
        for _ in range(count // len(batch)):
            model.predict(batch)
        return count

    with ThreadPoolExecutor(1) as infer:
        infer.submit(model.predict, batch).result()
        return infer.submit(measured, work).result()


def _pictures(count: int, runtime: RuntimeName = "torch") -> Cost:
    import torch  # noqa: PLC0415 - after the tuning

    from triptych.models.pretrained.efficientnet import ImageEncoder  # noqa: PLC0415

    model = _model(1, runtime)
    encoder = next(part for part in model._network.modules() if isinstance(part, ImageEncoder))  # noqa: SLF001 - alone
    images = torch.zeros((_PICTURES, 224, 224, 3), dtype=torch.uint8)

    def work() -> float:
        with torch.inference_mode():
            for _ in range(count // len(images)):
                encoder.trunk(images)
        return count

    work()
    return measured(work)


def _gemm(count: int) -> Cost:
    import torch  # noqa: PLC0415 - after the tuning

    torch.set_num_threads(1)
    side = 512
    left, right = torch.rand(side, side), torch.rand(side, side)
    products = max(1, round(_OPERATIONS / (2 * side**3)))

    def work() -> float:
        with torch.inference_mode():
            for _ in range(count * products):
                left @ right
        return count * products * 2 * side**3 / _OPERATIONS

    work()
    return measured(work)


def _worker(count: int) -> Cost:
    """Run a worker on windows of four pictures, after the start."""
    from benchmarks.suite.road import in_memory, short_films  # noqa: PLC0415 - imports OpenCV after the tuning

    return in_memory(
        short_films(4, count // 4 or 1, pictures_per_window=4),
        {"model.name": "base", "model.detector": "off", "model.threads": 1},
    )


def _prepare_and_predict(count: int) -> Cost:
    from benchmarks.suite.road import closed_windows, short_films  # noqa: PLC0415 - as above
    from triptych.worker.media.preparer import Preparer  # noqa: PLC0415

    model = _model(1)
    windows = closed_windows(short_films(4, count // 4 or 1, pictures_per_window=4))
    preparer = Preparer(model.spec, measures_quality=True)

    def work() -> float:
        for first in range(0, len(windows), _BATCH):
            model.predict([preparer.prepare(window).window for window in windows[first : first + _BATCH]])
        return len(windows)

    work()
    return measured(work)


_MEASURES: Final[dict[str, tuple[bool, Callable[[int], Cost]]]] = {
    "windows": (True, lambda count: _windows(count, model_threads())),
    "windows-all-threads": (True, lambda count: _windows(count, None)),
    "windows-not-tuned": (False, lambda count: _windows(count, None)),
    "pictures": (True, _pictures),
    "pictures-auto": (True, lambda count: _pictures(count, "auto")),
    "openvino": (True, lambda count: _pictures(count, "openvino")),
    "onnxruntime": (True, lambda count: _pictures(count, "onnxruntime")),
    "gemm": (True, _gemm),
    "worker": (True, _worker),
    "worker-not-tuned": (False, _worker),
    "prepare-and-predict": (True, _prepare_and_predict),
}
"""Whether the process is tuned, and the measurement."""


def main(what: str, count: int, cpus: int | None = None) -> None:
    """Measure, and print the cost. With `cpus`, run on the last ones of that number only."""
    is_tuned, measure = _MEASURES[what]
    if cpus is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cpus:])
    if is_tuned:
        tune_process()
    print_cost(measure(count))


if __name__ == "__main__":
    threading.current_thread().name = "benchmark"
    main(sys.argv[1], *map(int, sys.argv[2:]))
