"""The runtime: batches of fixed sizes, memory that runs out, devices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from triptych.models.execution.runtime import DeviceMemoryError, Outputs, RunOptions, TorchModel, choose_device
from triptych.models.model import InputSpec, ModelInfo
from triptych.models.network.collate import WindowBatch
from triptych.models.prediction import PredictedLabel, WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError

SPEC = InputSpec(frames=1, height=2, width=2, sample_rate_hz=16_000)
MakeWindow = Callable[..., PreparedWindow]


class Small(nn.Module):
    """Say each window's brightness, on a device that holds so many windows at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.sizes: list[int] = []

    def forward(self, batch: WindowBatch) -> dict[str, Tensor]:
        """Run out of memory when there is no room."""
        rows = batch.video.shape[0]
        self.sizes.append(rows)
        if rows > self.room:
            raise torch.OutOfMemoryError(f"no room for {rows}")
        return {"bright": batch.video.float().mean((1, 2, 3, 4))}


def describe(_window: PreparedWindow, outputs: Outputs) -> WindowPrediction:
    """Put the number where a test can see it."""
    return WindowPrediction(visual=(PredictedLabel("bright", float(outputs["bright"])),))


def build(room: int, max_batch: int = 8) -> tuple[Small, TorchModel]:
    """Return the network and the model around it."""
    network = Small(room)
    options = RunOptions(torch.device("cpu"), window_ns=2_000_000_000, max_batch=max_batch)
    return network, TorchModel(network, describe, info=ModelInfo("small", "1", "0" * 64), spec=SPEC, options=options)


def windows(make_window: MakeWindow, count: int) -> list[PreparedWindow]:
    """Return windows that can be told apart."""
    return [make_window([np.full((2, 2, 3), index, np.uint8)]) for index in range(count)]


def brightness(predictions: list[WindowPrediction]) -> list[float]:
    """Read the numbers back."""
    return [prediction.visual[0].score for prediction in predictions]


@pytest.mark.parametrize("count", [1, 3, 8, 21])
def test_every_window_gets_its_own_prediction(make_window: MakeWindow, count: int) -> None:
    """In order, in batches of a few sizes."""
    network, model = build(room=8)
    assert brightness(model.predict(windows(make_window, count))) == list(range(count))
    assert set(network.sizes) <= {1, 2, 4, 8}


def test_no_windows_are_answered_at_once() -> None:
    """The network is not asked."""
    network, model = build(room=8)
    assert model.predict([]) == []
    assert network.sizes == []


def test_a_window_with_nothing_in_it_is_answered_without_the_network(make_window: MakeWindow) -> None:
    """The windows around it keep their places."""
    network, model = build(room=8)
    first, last = windows(make_window, 2)
    predictions = model.predict([first, make_window(), last])
    assert predictions[1] == WindowPrediction()
    assert brightness([predictions[0], predictions[2]]) == [0, 1]
    assert network.sizes == [2]


def test_when_memory_runs_out_the_same_windows_are_run_again_fewer_at_once(make_window: MakeWindow) -> None:
    """No window is lost, none is predicted twice, and the next batch knows."""
    network, model = build(room=2)
    assert brightness(model.predict(windows(make_window, 7))) == list(range(7))
    assert network.sizes == [8, 4, 2, 2, 2, 1]
    network.sizes.clear()
    model.predict(windows(make_window, 4))
    assert network.sizes == [2, 2]


def test_larger_batches_are_tried_again_in_time(make_window: MakeWindow) -> None:
    """When another program gave the memory back, say."""
    network, model = build(room=2, max_batch=4)
    model.predict(windows(make_window, 4))
    network.room = 8
    for _ in range(60):
        model.predict(windows(make_window, 4))
    assert network.sizes[-1] == 4


def test_a_window_that_does_not_fit_alone_is_an_error(make_window: MakeWindow) -> None:
    """There is nothing left to try."""
    _, model = build(room=0)
    with pytest.raises(DeviceMemoryError, match="one window does not fit into the memory of cpu"):
        model.predict(windows(make_window, 2))


def test_warming_runs_every_batch_size() -> None:
    """So that none is run for the first time when it matters."""
    network, model = build(room=8, max_batch=6)
    model.warm()
    assert network.sizes == [1, 2, 4, 6]


def test_auto_takes_what_is_there() -> None:
    """A GPU before the CPU."""
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:97", "gpu", "meta"])
def test_a_device_that_is_not_there_is_a_users_mistake(name: str) -> None:
    """The message says what there is."""
    with pytest.raises(UsageError, match=r"auto|cpu"):
        choose_device(name)
