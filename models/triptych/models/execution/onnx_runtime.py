"""Run a frozen network in ONNX Runtime on a CPU. It is optional (extra `onnx`).

PyTorch's TorchScript exporter writes the model: the one on `torch.export` needs another package, and takes ten times as
long for the networks here.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]

OPSET: Final = 17
"""The version of ONNX' operators: the newest that the exporter writes without conversions."""
_ERRORS_ONLY: Final = 3


class OnnxModule(nn.Module):
    """A network in ONNX Runtime.

    Args:
        session: the loaded network. Its first dimension is the batch, of any size.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        super().__init__()
        self._session = session
        self._names = [each.name for each in session.get_inputs()]

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the outputs of the network, as it does in torch: a tensor, or a tuple of tensors."""
        arrays = {name: tensor.numpy() for name, tensor in zip(self._names, inputs, strict=True)}
        outputs = tuple(torch.from_numpy(each) for each in self._session.run(None, arrays))
        return outputs[0] if len(outputs) == 1 else outputs


def open_onnx(written: bytes) -> OnnxModule:
    """Return a network in ONNX Runtime, with as many threads as torch has.

    Raises:
        Exception: ONNX Runtime does not know an operation of the network.
    """
    import onnxruntime as ort  # noqa: PLC0415 - optional, and takes a while to import

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Threads that spin would take the CPU of those that prepare and publish.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    ort.disable_telemetry_events()
    return OnnxModule(ort.InferenceSession(written, options, providers=["CPUExecutionProvider"]))


def export_onnx(network: nn.Module, examples: Sequence[Tensor], *, any_size: bool) -> bytes:
    """Return a network as an ONNX model.

    Args:
        network: a frozen network on the CPU, in evaluation mode, whose inputs and outputs are tensors.
        examples: inputs of the shapes to come, of which the first dimension may change.
        any_size: whether the last two dimensions may change as well.

    Raises:
        Exception: the exporter does not know an operation of the network.
    """
    names = [f"input_{number}" for number in range(len(examples))]
    axes = {
        name: {0: "rows"}
        | ({example.dim() - 2: f"{name}_height", example.dim() - 1: f"{name}_width"} if any_size else {})
        for name, example in zip(names, examples, strict=True)
    }
    written = io.BytesIO()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates this exporter and tracing
        torch.onnx.export(
            network,
            tuple(examples),
            written,  # type: ignore[arg-type]  # this exporter takes a file object
            dynamo=False,
            input_names=names,
            dynamic_axes=axes,
            opset_version=OPSET,
        )
    return written.getvalue()
