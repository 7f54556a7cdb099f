"""Run a network on a device in batches of fixed sizes that fit into its memory.

One thread owns the device. This module does not know what the outputs mean: a function converts them to predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.models.execution.batch_size import BatchLimit
from triptych.models.execution.cpu_runtime import CpuRuntime
from triptych.models.execution.cuda_graphs import graphed
from triptych.models.execution.export import GraphForm
from triptych.models.execution.placement import accelerate_encoders, place_encoders
from triptych.models.execution.warmup_window import full_window
from triptych.models.model import InputSpec, ModelInfo
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.prediction import WindowPrediction
from triptych.models.pretrained.tokenizer import Tokenize
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import TriptychError

Outputs = Mapping[str, NDArray[np.float32]]
"""The outputs of one row by head name, float32 [...]. A head without input in the whole batch is missing."""

Postprocess = Callable[[PreparedWindow, Outputs], WindowPrediction]
"""Converts the outputs for a window to its prediction."""

_log = structlog.get_logger(__name__)


class DeviceMemoryError(TriptychError):
    """A single window does not fit into the device's memory. Retrying does not help."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run a model.

    Attributes:
        device: the device that the model runs on.
        window_ns: length of the windows, used to warm up.
        max_batch: the maximum number of windows per batch.
        tokenize: tokenizer of the model; None if it does not read text.
        encoder_devices: devices of encoders that run elsewhere, by modality.
        graph: form of the exported graph that a trained network runs as on a CPU; None runs it eagerly.
        graphs_folder: the cache folder of exported graphs.
        cpu_runtime: how frozen networks run on a CPU; None runs them in eager torch.
        cuda_graphs: whether frozen networks run as CUDA graphs on a GPU.
    """

    device: torch.device
    window_ns: int
    max_batch: int
    tokenize: Tokenize | None = None
    encoder_devices: Mapping[str, torch.device] = field(default_factory=dict)
    graph: GraphForm | None = None
    graphs_folder: Path = Path()
    cpu_runtime: CpuRuntime | None = None
    cuda_graphs: bool = False


class TorchModel:
    """Predict windows with a torch network."""

    def __init__(
        self, network: nn.Module, postprocess: Postprocess, *, info: ModelInfo, spec: InputSpec, options: RunOptions
    ) -> None:
        self.info = info
        self.spec = spec
        self._network = network.eval().to(options.device)
        place_encoders(self._network, options.encoder_devices, home=options.device)
        if options.cpu_runtime is not None and options.device.type == "cpu" and options.graph is None:
            accelerate_encoders(self._network, options.cpu_runtime.accelerate)
        if options.cuda_graphs and options.device.type == "cuda":
            accelerate_encoders(self._network, graphed)
        self._postprocess = postprocess
        self._tokenize = options.tokenize
        self._device = options.device
        self._window_ns = options.window_ns
        self._limit = BatchLimit(options.max_batch)
        self._staging: dict[tuple[int, int], WindowBatch] = {}
        self._copies = torch.Stream(options.device) if options.device.type == "cuda" else None

    def warm(self) -> None:
        """Run each batch size once with all modalities, so that no real batch triggers one-time initialisation.

        Only the first window has frames: a GPU always runs the full shape, and a CPU runs the present frames a few at a
        time, so more frames would not lead to new shapes.
        """
        first = full_window(self._window_ns, self.spec)
        other = replace(first, frames_hwc_u8=(), frame_times_ns=())
        self.predict([first])
        for size in self._limit.sizes[1:]:
            # Without what follows the network, which sees single windows. A size that does not fit lowers the limit.
            while size <= self._limit.current and self._run([first] + [other] * (size - 1)) is None:
                pass

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return one prediction per window, in order. Empty windows are answered without the network.

        Raises:
            DeviceMemoryError: a single window does not fit into the device's memory.
        """
        predictions = [WindowPrediction()] * len(windows)
        waiting = [index for index, window in enumerate(windows) if not window.is_empty]
        while waiting:
            indices = waiting[: self._limit.current]
            chosen = [windows[index] for index in indices]
            outputs = self._run(chosen)
            if outputs is None:
                continue
            for row, (index, window) in enumerate(zip(indices, chosen, strict=True)):
                predictions[index] = self._postprocess(window, {name: rows[row] for name, rows in outputs.items()})
            waiting = waiting[len(indices) :]
        return predictions

    def _run(self, windows: Sequence[PreparedWindow]) -> Outputs | None:
        """Return the outputs by name, each float32 [B, ...].

        Return None if memory ran out and a smaller batch must be tried.
        """
        try:
            outputs = self._forward(windows)
        except torch.OutOfMemoryError as error:
            if not self._limit.record_out_of_memory():
                raise DeviceMemoryError(f"one window does not fit into the memory of {self._device}") from error
            _log.warning("device_memory_ran_out", device=str(self._device), max_batch=self._limit.current)
        else:
            self._limit.record_success(len(windows))
            return outputs
        # Outside the handler, because the traceback keeps references to the tensors that must be freed.
        self._staging.clear()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    @torch.inference_mode()
    def _forward(self, windows: Sequence[PreparedWindow]) -> Outputs:
        batch = self._on_device(collate(windows, self._buffers(windows), self._tokenize))
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._device.type == "cuda"):
            outputs: dict[str, Tensor] = self._network(batch)
        return {name: rows[: len(windows)].float().cpu().numpy() for name, rows in outputs.items()}

    def _buffers(self, windows: Sequence[PreparedWindow]) -> WindowBatch:
        size, samples = self._limit.size_for(len(windows)), windows[0].audio_f32.shape[0]
        if (size, samples) not in self._staging:
            pinned = self._device.type == "cuda"
            self._staging[size, samples] = empty_batch(size, samples, self.spec, pinned=pinned)
        return self._staging[size, samples]

    def _on_device(self, batch: WindowBatch) -> WindowBatch:
        if self._copies is None:
            return batch
        with self._copies:
            moved = batch.to(self._device)
        computing = torch.accelerator.current_stream(self._device)
        computing.wait_stream(self._copies)
        for tensor in moved.tensors():
            tensor.record_stream(computing)
        return moved
