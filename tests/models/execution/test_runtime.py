"""The runtime: fixed batch sizes, out-of-memory handling, devices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from triptych.models.execution.runtime import DeviceMemoryError, Outputs, RunOptions, TorchModel
from triptych.models.model import InputSpec, ModelInfo
from triptych.models.network.collate import WindowBatch
from triptych.models.prediction import PredictedLabel, WindowPrediction
from triptych.models.window import PreparedWindow

SPEC = InputSpec(frames=1, height=2, width=2, sample_rate_hz=16_000)
MakeWindow = Callable[..., PreparedWindow]


class Small(nn.Module):
    """A network that returns the brightness of each window, on a device that can hold `room` rows."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.sizes: list[int] = []

    def forward(self, batch: WindowBatch) -> dict[str, Tensor]:
        """Return float [B]; raise an out-of-memory error for more than `room` rows."""
        rows = batch.video.shape[0]
        self.sizes.append(rows)
        if rows > self.room:
            raise torch.OutOfMemoryError(f"no room for {rows}")
        return {"bright": batch.video.float().mean((1, 2, 3, 4))}


def postprocess(_window: PreparedWindow, outputs: Outputs) -> WindowPrediction:
    """Return the brightness as a label's score."""
    return WindowPrediction(visual=(PredictedLabel("bright", float(outputs["bright"])),))


def build(room: int, max_batch: int = 8) -> tuple[Small, TorchModel]:
    """Return the network and the model that runs it."""
    network = Small(room)
    options = RunOptions(torch.device("cpu"), window_ns=2_000_000_000, max_batch=max_batch)
    return network, TorchModel(network, postprocess, info=ModelInfo("small", "1", "0" * 64), spec=SPEC, options=options)


def windows(make_window: MakeWindow, count: int) -> list[PreparedWindow]:
    """Return windows of different brightness."""
    return [make_window([np.full((2, 2, 3), index, np.uint8)]) for index in range(count)]


def brightness(predictions: list[WindowPrediction]) -> list[float]:
    """Return the brightness of each prediction."""
    return [prediction.visual[0].score for prediction in predictions]


@pytest.mark.parametrize("count", [1, 3, 8, 21])
def test_every_window_gets_its_own_prediction(make_window: MakeWindow, count: int) -> None:
    """Predictions are in order, and batches have a few fixed sizes."""
    network, model = build(room=8)
    assert brightness(model.predict(windows(make_window, count))) == list(range(count))
    assert set(network.sizes) <= {1, 2, 4, 8}


def test_an_empty_batch_does_not_run_the_network() -> None:
    """The network is not run."""
    network, model = build(room=8)
    assert model.predict([]) == []
    assert network.sizes == []


def test_an_empty_window_does_not_run_the_network(make_window: MakeWindow) -> None:
    """The order of the other predictions does not change."""
    network, model = build(room=8)
    first, last = windows(make_window, 2)
    predictions = model.predict([first, make_window(), last])
    assert predictions[1] == WindowPrediction()
    assert brightness([predictions[0], predictions[2]]) == [0, 1]
    assert network.sizes == [2]


def test_windows_are_run_again_in_smaller_batches_when_memory_runs_out(make_window: MakeWindow) -> None:
    """No window is lost or predicted twice, and the next batch uses the smaller size."""
    network, model = build(room=2)
    assert brightness(model.predict(windows(make_window, 7))) == list(range(7))
    assert network.sizes == [8, 4, 2, 2, 2, 1]
    network.sizes.clear()
    model.predict(windows(make_window, 4))
    assert network.sizes == [2, 2]


def test_larger_batches_are_tried_again(make_window: MakeWindow) -> None:
    """The size grows again after many successful batches."""
    network, model = build(room=2, max_batch=4)
    model.predict(windows(make_window, 4))
    network.room = 8
    for _ in range(60):
        model.predict(windows(make_window, 4))
    assert network.sizes[-1] == 4


def test_a_window_that_does_not_fit_alone_is_an_error(make_window: MakeWindow) -> None:
    """A batch of one cannot be reduced."""
    _, model = build(room=0)
    with pytest.raises(DeviceMemoryError, match="one window does not fit into the memory of cpu"):
        model.predict(windows(make_window, 2))


def test_warming_runs_every_batch_size() -> None:
    """Each size is run once."""
    network, model = build(room=8, max_batch=6)
    model.warm()
    assert network.sizes == [1, 2, 4, 6]


def test_warming_finds_the_largest_batch_that_fits(make_window: MakeWindow) -> None:
    """Larger ones are not tried, and the first real batch has a size that fits."""
    network, model = build(room=2)
    model.warm()
    assert network.sizes == [1, 2, 4, 4]
    network.sizes.clear()
    model.predict(windows(make_window, 8))
    assert network.sizes == [2, 2, 2, 2]
