"""Run the frozen networks of a model in OpenVINO on a CPU: the same numbers in half the time of eager torch, or less.

OpenVINO is optional (extra `cpu`). It imports a telemetry package, which is never called: the conversion here does not
use `openvino.convert_model`, which reports its use.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal

import structlog
import torch
from torch import Tensor, nn

from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]

RuntimeName = Literal["auto", "torch", "openvino"]
Precision = Literal["float32", "bfloat16"]

_TOLERANCE: Final = 1e-3
"""The largest difference to torch in float32, relative to the largest output. OpenVINO reaches 1e-6."""
_HINT_OF: Final[dict[Precision, str]] = {"float32": "f32", "bfloat16": "bf16"}

_log = structlog.get_logger(__name__)


class OpenVinoModule(nn.Module):
    """A network in OpenVINO. Only one thread may call it.

    Args:
        compiled: the compiled network. Its first dimension is the batch, of any size.
    """

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        super().__init__()
        self._request = compiled.create_infer_request()
        self._outputs = len(compiled.outputs)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the outputs of the network, as it does in torch: a tensor, or a tuple of tensors."""
        results = self._request.infer({place: tensor.numpy() for place, tensor in enumerate(inputs)})
        # Copies, because the next call writes to the same memory.
        outputs = tuple(torch.from_numpy(results[place].copy()) for place in range(self._outputs))
        return outputs[0] if self._outputs == 1 else outputs


@dataclass(frozen=True, slots=True)
class CpuRuntime:
    """How frozen networks run on a CPU.

    Attributes:
        name: `torch`, `openvino`, or `auto`: OpenVINO if it is installed.
        precision: `bfloat16` is faster on processors that have it, and differs from torch (cosine about .99).
    """

    name: RuntimeName = "auto"
    precision: Precision = "float32"

    @property
    def uses_openvino(self) -> bool:
        """Whether networks run in OpenVINO.

        Raises:
            UsageError: it is asked for and not installed.
        """
        is_installed = find_spec("openvino") is not None
        if self.name == "openvino" and not is_installed:
            raise UsageError(
                "model.runtime = openvino: OpenVINO is not installed; install triptych[cpu], or set auto or torch"
            )
        return is_installed and self.name != "torch"

    def accelerate(
        self, name: str, network: nn.Module, examples: Sequence[Tensor], *, any_size: bool = False
    ) -> nn.Module:
        """Return a network that computes the same as `network`, in OpenVINO where that is chosen and exact.

        Args:
            name: name of the network, for the log.
            network: a frozen network on the CPU, in evaluation mode, whose inputs and outputs are tensors.
            examples: inputs of the shapes to come, of which the first dimension may change. Their content is replaced
                by seeded noise to compare the two.
            any_size: whether the last two dimensions may change as well.

        Raises:
            UsageError: OpenVINO is asked for and not installed.
        """
        if not self.uses_openvino:
            return network
        try:
            converted = OpenVinoModule(self._compiled(network, examples, any_size=any_size))
        except Exception as error:
            if self.name == "openvino":
                raise
            _log.warning("cpu_runtime_not_used", network=name, runtime="openvino", reason=f"{error!r:.300}")
            return network
        difference = _difference(network, converted, examples)
        if self.precision == "float32" and not difference <= _TOLERANCE:
            reason = f"it differs by {difference:.1g} of the largest output, more than {_TOLERANCE:g}"
            _log.warning("cpu_runtime_not_used", network=name, runtime="openvino", reason=reason)
            return network
        _log.info("cpu_runtime_used", network=name, runtime="openvino", precision=self.precision, difference=difference)
        return converted

    def _compiled(self, network: nn.Module, examples: Sequence[Tensor], *, any_size: bool) -> openvino.CompiledModel:
        import openvino as ov  # noqa: PLC0415 - optional, and takes a while to import
        from openvino.frontend import FrontEndManager  # type: ignore[import-untyped] # noqa: PLC0415
        from openvino.frontend.pytorch.ts_decoder import (  # type: ignore[import-untyped] # noqa: PLC0415
            TorchScriptPythonDecoder,
        )

        frontend = FrontEndManager().load_by_framework("pytorch")
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates tracing, which OpenVINO's decoder uses
            decoder = TorchScriptPythonDecoder(
                network, example_input=tuple(examples), trace_kwargs={"check_trace": False}
            )
            loaded = frontend.load(decoder)
            model = frontend.convert(loaded)
        shapes = [[-1, *example.shape[1:]] for example in examples]
        if any_size:
            shapes = [[*shape[:-2], -1, -1] for shape in shapes]
        model.reshape(dict(enumerate(shapes)))
        options: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": _HINT_OF[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        return ov.Core().compile_model(model, "CPU", options)


@torch.inference_mode()
def _difference(network: nn.Module, converted: nn.Module, examples: Sequence[Tensor]) -> float:
    """Return the largest difference between the outputs for seeded noise, relative to the largest output."""
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randint(0, 256, example.shape, generator=generator, dtype=example.dtype)
        if example.dtype == torch.uint8
        else torch.rand(example.shape, generator=generator).to(example.dtype)
        for example in examples
    ]
    expected, got = _as_tuple(network(*inputs)), _as_tuple(converted(*inputs))
    return max(
        float((one - other).abs().max()) / max(float(one.abs().max()), 1e-12)
        for one, other in zip(expected, got, strict=True)
    )


def _as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
