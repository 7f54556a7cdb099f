"""Run frozen networks in OpenVINO or ONNX Runtime on a CPU: the same numbers in less time than eager torch.

Both are optional (extras `cpu` and `onnx`). With `auto`, each that is installed runs the network at the first start,
and the fastest whose outputs equal torch's is used; later starts remember the choice. OpenVINO imports a telemetry
package, which is never called: the conversion here does not use `openvino.convert_model`, which reports its use.
"""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import structlog
import torch
from torch import Tensor, nn

from triptych.models.execution.conversion_cache import (
    CachedConversion,
    ConversionCache,
    Parts,
    conversion_key,
    package_versions,
    parts_sha256,
)
from triptych.models.execution.onnx_runtime import OPSET, export_onnx, open_onnx
from triptych.models.execution.remembered_choice import RememberedChoice, RuntimeChoice, choice_key
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]

RuntimeName = Literal["auto", "torch", "openvino", "onnxruntime"]
FasterRuntime = Literal["openvino", "onnxruntime"]
Precision = Literal["float32", "bfloat16"]

_TOLERANCE: Final = 1e-3
"""The largest difference to torch in float32, relative to the largest output. Both reach 1e-6."""
_TITLES: Final[dict[FasterRuntime, str]] = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}
"""The runtimes, the one that is usually faster first."""
_PACKAGES: Final[dict[FasterRuntime, tuple[str, ...]]] = {
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime", "onnx"),
}
_EXTRA_OF: Final[dict[FasterRuntime, str]] = {"openvino": "cpu", "onnxruntime": "onnx"}
_ROUNDS: Final = 5
_CLEARLY_FASTER: Final = 0.9
"""The share of the time of an earlier runtime that another must need. So the choice is the same at each start."""
_HINT_OF: Final[dict[Precision, str]] = {"float32": "f32", "bfloat16": "bf16"}

_CHOOSING: Final = Lock()
"""Networks may be built side by side, but are measured one after the other."""

_NO_CACHE: Final = ConversionCache(None)
_MODEL: Final = "model.onnx"
_GRAPH: Final = "model.xml"
_WEIGHTS: Final = "model.bin"

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
        name: `torch`, `openvino`, `onnxruntime`, or `auto`: the fastest that is installed and exact.
        precision: `bfloat16` is faster on processors that have it, and differs from torch (cosine about .99). Only
            OpenVINO has it.
        cache: where converted networks and the choice are kept for the next start.
    """

    name: RuntimeName = "auto"
    precision: Precision = "float32"
    cache: ConversionCache = _NO_CACHE

    @property
    def candidates(self) -> tuple[FasterRuntime, ...]:
        """The runtimes to try.

        Raises:
            UsageError: one is asked for and not installed, or lacks the precision.
        """
        if self.name == "torch":
            return ()
        installed = tuple(name for name in _TITLES if all(find_spec(package) for package in _PACKAGES[name]))
        if self.name == "auto":
            return installed if self.precision == "float32" else tuple(set(installed) & {"openvino"})
        if self.name == "onnxruntime" and self.precision != "float32":
            raise UsageError(
                f"model.precision = {self.precision}: ONNX Runtime has float32 only; "
                "set model.runtime = openvino or auto"
            )
        if self.name not in installed:
            raise UsageError(
                f"model.runtime = {self.name}: {_TITLES[self.name]} is not installed; "
                f"install triptych[{_EXTRA_OF[self.name]}], or set auto or torch"
            )
        return (self.name,)

    def accelerate(
        self, name: str, network: nn.Module, examples: Sequence[Tensor], *, any_size: bool = False
    ) -> nn.Module:
        """Return a network that computes the same as `network`, in the runtime that is chosen.

        It blocks for as long as the conversions, the comparison with torch and, with `auto`, some runs of the network
        take: about two seconds; one where the cache has the conversions, and a quarter where it has the choice too.

        Args:
            name: name of the network, for the log.
            network: a frozen network on the CPU, in evaluation mode, whose inputs and outputs are tensors.
            examples: inputs of the shapes to come, of which the first dimension may change. Their content is replaced
                by seeded noise to compare the two.
            any_size: whether the last two dimensions may change as well.

        Raises:
            UsageError: a runtime is asked for and not installed.
        """
        candidates = self.candidates
        if not candidates:
            return network
        frozen = _FrozenNetwork(name, network, tuple(examples), any_size=any_size)
        conversions = [frozen.conversion_key(runtime) for runtime in candidates]
        key = choice_key(network, conversions, setting=self.name, precision=self.precision)
        remembered = RememberedChoice(self.cache.folder, name, key)
        choice = remembered.read()
        module = None if choice is None else self._remembered(choice, frozen)
        if choice is None or module is None:
            with _CHOOSING:
                module, choice = self._chosen(frozen, candidates)
            if choice is None:
                return network
            remembered.write(choice)
        if choice.runtime == "torch":
            _log.info("cpu_runtime_not_faster", network=name, took_ms=choice.took_ms)
            return network
        _log.info(
            "cpu_runtime_used",
            network=name,
            runtime=choice.runtime,
            precision=self.precision,
            difference=choice.difference,
            **({"took_ms": choice.took_ms} if choice.took_ms else {}),
            chosen_at=datetime.fromtimestamp(choice.chosen_at_s, UTC).isoformat(timespec="seconds"),
        )
        return module

    def _remembered(self, choice: RuntimeChoice, frozen: _FrozenNetwork) -> nn.Module | None:
        """Return the network in the runtime of an earlier choice, or None if that is not possible any more."""
        if choice.runtime == "torch":
            return frozen.network
        parts = self._entry(choice.runtime, frozen).find(frozen.conversion_key(choice.runtime))
        if parts is None or parts_sha256(parts) != choice.conversion_sha256:
            return None
        try:
            return self._opened(choice.runtime, parts)
        except Exception as error:  # noqa: BLE001 - of two runtimes; the choice is made again, which may raise
            _log.info("runtime_choice_not_used", network=frozen.name, runtime=choice.runtime, reason=f"{error!r:.300}")
            return None

    def _chosen(
        self, frozen: _FrozenNetwork, candidates: Sequence[FasterRuntime]
    ) -> tuple[nn.Module, RuntimeChoice | None]:
        """Return the network in the fastest runtime that computes the same. There is no choice if none does."""
        converted = {runtime: exact for runtime in candidates if (exact := self._exact(runtime, frozen)) is not None}
        if not converted:
            return frozen.network, None
        chosen = next(iter(converted))
        took_ms: dict[str, float] = {}
        if self.name == "auto" and self.precision == "float32":
            modules: dict[str, nn.Module] = {runtime: each.module for runtime, each in converted.items()}
            modules["torch"] = frozen.network
            took_ms = measured_ms(modules, _noise(frozen.examples))
            fastest = fastest_of(took_ms)
            if fastest == "torch":
                return frozen.network, RuntimeChoice(
                    runtime="torch", difference=0, took_ms=took_ms, conversion_sha256=None, chosen_at_s=time.time()
                )
            chosen = next(runtime for runtime in converted if runtime == fastest)
        exact = converted[chosen]
        return exact.module, RuntimeChoice(
            runtime=chosen,
            difference=exact.difference,
            took_ms=took_ms,
            conversion_sha256=exact.parts_sha256,
            chosen_at_s=time.time(),
        )

    def _exact(self, runtime: FasterRuntime, frozen: _FrozenNetwork) -> _ExactNetwork | None:
        """Return the network in a runtime. None if it cannot be used; the log says why."""
        entry = self._entry(runtime, frozen)
        while True:
            try:
                parts = entry.parts(frozen.conversion_key(runtime), lambda: frozen.convert(runtime))
                converted = self._opened(runtime, parts)
            except Exception as error:
                if self.name != "auto":
                    raise
                reason = f"{error!r:.300}"
                break
            try:
                difference = _largest([_difference(frozen.network, converted, shape) for shape in frozen.shapes])
            except Exception as error:  # noqa: BLE001 - of two runtimes, which reject some shapes only when they run
                reason = f"{error!r:.300}"
                break
            if difference <= _TOLERANCE or (self.precision != "float32" and not math.isnan(difference)):
                return _ExactNetwork(converted, difference, parts_sha256(parts))
            if not entry.was_found:
                reason = f"it differs by {difference:.1g} of the largest output, more than {_TOLERANCE:g}"
                break
            entry.forget()  # the code of the network may have changed since
        _log.warning("cpu_runtime_not_used", network=frozen.name, runtime=runtime, reason=reason)
        return None

    def _entry(self, runtime: FasterRuntime, frozen: _FrozenNetwork) -> CachedConversion:
        return CachedConversion(self.cache, f"{frozen.name}-{runtime}")

    def _opened(self, runtime: FasterRuntime, parts: Parts) -> nn.Module:
        return _open_openvino(parts, self.precision) if runtime == "openvino" else open_onnx(parts[_MODEL])


class _FrozenNetwork:
    """A network to convert, and what a conversion of it depends on."""

    def __init__(self, name: str, network: nn.Module, examples: tuple[Tensor, ...], *, any_size: bool) -> None:
        self.name = name
        self.network = network
        self.examples = examples
        self._any_size = any_size
        self._key = conversion_key(network, examples, any_size=any_size)

    @property
    def shapes(self) -> list[Sequence[Tensor]]:
        """The inputs to compare it with torch for."""
        turned = [example.transpose(-1, -2) for example in self.examples]
        return [self.examples, turned] if self._any_size else [self.examples]

    def conversion_key(self, runtime: FasterRuntime) -> dict[str, object]:
        """Return what the conversion depends on."""
        versions = package_versions(_PACKAGES[runtime])
        return {**self._key, "versions": versions, **({"opset": OPSET} if runtime == "onnxruntime" else {})}

    def convert(self, runtime: FasterRuntime) -> Parts:
        """Convert the network for a runtime."""
        if runtime == "openvino":
            return _openvino_parts(self.network, self.examples, any_size=self._any_size)
        return {_MODEL: export_onnx(self.network, self.examples, any_size=self._any_size)}


@dataclass(frozen=True, slots=True)
class _ExactNetwork:
    """A network in a runtime, its difference to torch, and the checksum of its conversion."""

    module: nn.Module
    difference: float
    parts_sha256: str


def _open_openvino(parts: Parts, precision: Precision) -> OpenVinoModule:
    import openvino as ov  # noqa: PLC0415 - optional, and takes a while to import

    options: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": _HINT_OF[precision],
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = ov.Core()
    weights = ov.Tensor(np.frombuffer(parts[_WEIGHTS], np.uint8))
    return OpenVinoModule(core.compile_model(core.read_model(parts[_GRAPH], weights), "CPU", options))


def _openvino_parts(network: nn.Module, examples: Sequence[Tensor], *, any_size: bool) -> Parts:
    import openvino as ov  # noqa: PLC0415 - as above
    from openvino.frontend import FrontEndManager  # type: ignore[import-untyped] # noqa: PLC0415
    from openvino.frontend.pytorch.ts_decoder import (  # type: ignore[import-untyped] # noqa: PLC0415
        TorchScriptPythonDecoder,
    )

    frontend = FrontEndManager().load_by_framework("pytorch")
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates tracing, which OpenVINO's decoder uses
        decoder = TorchScriptPythonDecoder(network, example_input=tuple(examples), trace_kwargs={"check_trace": False})
        loaded = frontend.load(decoder)
        model = frontend.convert(loaded)
    shapes = [[-1, *example.shape[1:]] for example in examples]
    if any_size:
        shapes = [[*shape[:-2], -1, -1] for shape in shapes]
    model.reshape(dict(enumerate(shapes)))
    with tempfile.TemporaryDirectory() as folder:
        graph, weights = Path(folder) / _GRAPH, Path(folder) / _WEIGHTS
        ov.serialize(model, graph, weights)
        return {_GRAPH: graph.read_bytes(), _WEIGHTS: weights.read_bytes()}


def fastest_of(took_ms: Mapping[str, float]) -> str:
    """Return the name of the fastest; an earlier one, unless a later one is clearly faster."""
    fastest, *others = took_ms
    for name in others:
        if took_ms[name] < _CLEARLY_FASTER * took_ms[fastest]:
            fastest = name
    return fastest


@torch.inference_mode()
def measured_ms(modules: Mapping[str, nn.Module], inputs: Sequence[Tensor]) -> dict[str, float]:
    """Return how long each module takes for the inputs, in milliseconds by name: the least of several runs in turn."""
    took_ns: dict[str, list[int]] = {name: [] for name in modules}
    for _ in range(_ROUNDS):
        for name, module in modules.items():
            began_ns = time.perf_counter_ns()
            module(*inputs)
            took_ns[name].append(time.perf_counter_ns() - began_ns)
    return {name: round(min(each) / 1e6, 3) for name, each in took_ns.items()}


def _noise(examples: Sequence[Tensor]) -> list[Tensor]:
    """Return seeded noise of the shapes and types of examples."""
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, 256, example.shape, generator=generator, dtype=example.dtype)
        if example.dtype == torch.uint8
        else torch.rand(example.shape, generator=generator).to(example.dtype)
        for example in examples
    ]


@torch.inference_mode()
def _difference(network: nn.Module, converted: nn.Module, examples: Sequence[Tensor]) -> float:
    """Return the largest difference between the outputs for seeded noise, relative to the largest output."""
    inputs = _noise(examples)
    expected, got = _as_tuple(network(*inputs)), _as_tuple(converted(*inputs))
    return _largest(
        [
            float((one - other).abs().max()) / max(float(one.abs().max()), 1e-12)
            for one, other in zip(expected, got, strict=True)
        ]
    )


def _largest(values: Sequence[float]) -> float:
    """Return the largest value, or NaN if one is: `max` would pass over it."""
    return math.nan if any(map(math.isnan, values)) else max(values)


def _as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
