"""Compression of a trained model: prune, fine-tune, store with fewer bits, and measure each form against the others."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from triptych.models.checkpoints.card import Card
from triptych.models.checkpoints.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    trained_state,
)
from triptych.models.checkpoints.paths import CARD_SUFFIX
from triptych.models.checkpoints.quantisation import dequantise, quantise
from triptych.models.checkpoints.storage import STORAGES, Storage
from triptych.models.execution.export import GraphError, GraphForm, export_graph, load_graph
from triptych.models.execution.export_cache import GraphNetwork
from triptych.models.network.architecture import build_network
from triptych.models.network.collate import WindowBatch
from triptych.models.network.fused import FusedModel
from triptych.models.trained import graph_source
from triptych.schemas.errors import UsageError
from triptych.training.batches import ExampleSource, LabelledBatch
from triptych.training.callbacks import TrainingCallback
from triptych.training.compression.measurement import (
    FormMeasurement,
    Forward,
    agreement,
    predict_all,
    score_of,
    window_ms,
)
from triptych.training.compression.options import CompressionOptions
from triptych.training.compression.pruning import prune
from triptych.training.config import LossConfig, NetworkConfig, TrainConfig
from triptych.training.data.example import Dataset
from triptych.training.evaluation.evaluated_model import evaluated_model
from triptych.training.processes import Processes
from triptych.training.trainer import Trainer, deterministic

REPORT_FILE = "compression.json"
ORIGINAL = "original"
_BATCH = 8
_LOOKS = 4
_GENTLER = 0.3
_WORTH_SPEED = 0.95
_WORTH_SCORE = 0.01
_CPU = torch.device("cpu")
_GRAPH_NAMES: Mapping[GraphForm, str] = {"export": "as a graph (torch.export)", "aot": "compiled (AOTInductor)"}


@dataclass(frozen=True, slots=True)
class CompressionReport:
    """The result of a compression.

    Attributes:
        forms: measurements by form, the original first.
        written: form of the checkpoint.
        not_worth: forms that bring no gain on this machine, with the reason.
        card: card of the checkpoint.
    """

    forms: Mapping[str, FormMeasurement]
    written: str
    not_worth: tuple[str, ...]
    card: Card


def compress(
    path: Path,
    dataset: Dataset,
    options: CompressionOptions,
    folder: Path,
    *,
    weights_folder: Path,
    callback: TrainingCallback,
) -> CompressionReport:
    """Compress the checkpoint at `path` into a folder. Blocks until all forms are measured.

    Raises:
        UsageError: the checkpoint cannot be read or was trained for another task, the folder already has a model, or
            the split does not exist.
    """
    if any(folder.glob(f"*{CARD_SUFFIX}")):
        raise UsageError(f"{folder} already holds a model: choose another folder")
    original = load_checkpoint(path, weights_folder=weights_folder)
    evaluated_model(original, dataset.task, _CPU)
    measurements = _Measurements(dataset, original, options)
    measurements.add(ORIGINAL, original.network.model)
    base, best = ORIGINAL, original
    if options.share:
        base, best = f"pruned {options.share:.0%}", _pruned(original, options.share, weights_folder)
        if options.steps:
            measurements.add(base, best.network.model)
            base, best = f"{base}, trained", _trained(best, path, dataset, options, weights_folder, callback)
        measurements.add(base, best.network.model)
    for storage in STORAGES[1:]:
        measurements.store(
            f"{base}, stored as {storage}", best.network.model, storage, wanted=storage == options.storage
        )
    measurements.compute(best.network.model)
    for form in options.graphs:
        measurements.graph(best, form)
    card = save_checkpoint(
        folder / "model", best.network.model, _with_origin(best.card, original, path), storage=options.storage
    )
    written = base if options.storage == "fp32" else f"{base}, stored as {options.storage}"
    report = measurements.report(base, written, card)
    (folder / REPORT_FILE).write_text(json.dumps(_as_json(report), indent=2) + "\n", encoding="utf-8")
    return report


class _Measurements:
    """Measures the forms of a model one after the other, and their speed in turns at the end."""

    def __init__(self, dataset: Dataset, original: Checkpoint, options: CompressionOptions) -> None:
        source = ExampleSource(dataset, original.card.input.spec(), original.network.tokenize)
        size = min(options.examples, dataset.size(options.split) if options.split in dataset.splits else 0)
        if not size:
            raise UsageError(f"split: expected one of {', '.join(dataset.splits)}, got {options.split!r}")
        self._batches: list[LabelledBatch] = list(source.in_order(options.split, size, _BATCH))
        self._kind = dataset.task.kind
        self._head = original.card.architecture.targets[0].name
        self._frozen = original.card.architecture.frozen
        self._outputs: dict[str, Tensor] = {}
        self._forms: dict[str, FormMeasurement] = {}
        self._timed: dict[str, Forward] = {}
        self._missing: list[str] = []

    def add(self, name: str, model: FusedModel) -> None:
        """Measure a network as it is."""
        model.eval()
        size = len(save(trained_state(model, self._frozen)))
        self._measure(name, self._forward(model), model, size_bytes=size)
        self._timed[name] = self._forward(model)

    def store(self, name: str, model: FusedModel, storage: Storage, *, wanted: bool) -> None:
        """Measure the network after a round trip through a file of this number format."""
        try:
            content = quantise(trained_state(model, self._frozen), model, storage)
        except ModuleNotFoundError:
            if wanted:
                raise
            self._missing.append('int8: torchao is not installed: pip install "triptych[compress]"')
            return
        back = copy.deepcopy(model)
        back.load_state_dict(dequantise(content), strict=False)
        self._measure(name, self._forward(back), back, size_bytes=len(save(content)))

    def compute(self, model: FusedModel) -> None:
        """Measure other ways to compute the same file: bfloat16 and int8 activations."""
        self._try("computed in bfloat16", lambda: _in_bfloat16(self._forward(model)), model)
        self._try("computed in int8 (torchao)", lambda: self._forward(_in_integers(model)), model)

    def graph(self, checkpoint: Checkpoint, form: GraphForm) -> None:
        """Measure the network as a graph. The serving machine makes the graph; it is not part of the checkpoint."""
        subject, model = graph_source(checkpoint), checkpoint.network.model
        if checkpoint.card.input.features:
            self._missing.append(f"{_GRAPH_NAMES[form]}: graphs are for windows of media, not for features")
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.pt2"
            try:
                export_graph(model, subject.example_batch(), subject.modalities, form, path)
                forward = self._forward(GraphNetwork(model, load_graph(path, form), subject.modalities))
            except GraphError as error:
                self._missing.append(str(error))
                return
            name = _GRAPH_NAMES[form]
            self._measure(name, forward, model, size_bytes=path.stat().st_size)
            self._timed[name] = forward

    def report(self, base: str, written: str, card: Card) -> CompressionReport:
        """Measure the speed of all forms and return the report."""
        first = self._batches[0]
        speeds = window_ms(self._timed, first.windows, len(first.target))
        forms = {name: replace(form, window_ms=speeds.get(name)) for name, form in self._forms.items()}
        return CompressionReport(forms, written, (*_not_worth(forms, base), *self._missing), card)

    def _try(self, name: str, make: Callable[[], Forward], model: FusedModel) -> None:
        try:
            forward = make()
            self._measure(name, forward, model, size_bytes=None)
        except ModuleNotFoundError:
            return  # `store` has reported it
        except RuntimeError as error:  # an operation has no kernel for this type or processor
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            self._missing.append(f"{name}: does not run here: {reason}")
            return
        self._timed[name] = forward

    def _measure(self, name: str, forward: Forward, model: nn.Module, *, size_bytes: int | None) -> None:
        outputs = predict_all(forward, self._batches)
        self._outputs[name] = outputs
        self._forms[name] = FormMeasurement(
            size_bytes=size_bytes,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            score=score_of(outputs, self._batches, self._kind),
            agreement=agreement(outputs, self._outputs[ORIGINAL], self._kind),
            window_ms=None,
        )

    def _forward(self, model: nn.Module) -> Forward:
        def forward(batch: WindowBatch) -> Tensor:
            outputs: Tensor = model(batch)[self._head]
            return outputs

        return forward


def _pruned(original: Checkpoint, share: float, weights_folder: Path) -> Checkpoint:
    network = build_network(original.card.architecture, weights_folder=weights_folder)
    network.model.load_state_dict(original.network.model.state_dict())
    smaller = prune(network.model, original.card.architecture, share)
    return Checkpoint(original.card.model_copy(update={"architecture": smaller}), network)


def _trained(
    pruned: Checkpoint,
    teacher: Path,
    dataset: Dataset,
    options: CompressionOptions,
    weights_folder: Path,
    callback: TrainingCallback,
) -> Checkpoint:
    """Fine-tune the pruned network as the original was trained, with a lower rate and the original as teacher."""
    config = _config(pruned.card, options.steps, teacher)
    state = {name: tensor.clone() for name, tensor in pruned.network.model.state_dict().items()}
    with deterministic(_CPU):
        trainer = Trainer(
            dataset, pruned.card, config, weights_folder=weights_folder, device=_CPU, processes=Processes()
        )
        trainer.start_from(state)
        with tempfile.TemporaryDirectory() as folder:
            trainer.run(Path(folder), [callback])
            return load_checkpoint(Path(folder), weights_folder=weights_folder)


def _config(card: Card, steps: int, teacher: Path) -> TrainConfig:
    """Return the card's training configuration with fewer steps; defaults for what the card lacks."""
    recorded: dict[str, Any] = dict(card.training.get("config", {}))
    network = NetworkConfig(**_known(NetworkConfig, recorded.pop("network", {})))
    loss = LossConfig(**_known(LossConfig, recorded.pop("loss", {})))
    config = TrainConfig(**_known(TrainConfig, recorded))
    return replace(
        config,
        network=network,
        loss=replace(loss, teacher=str(teacher)),
        steps=steps,
        rate=config.rate * _GENTLER,
        evaluate_every=max(1, -(-steps // _LOOKS)),
        patience=0,
        device="cpu",
    )


def _known(kind: Any, recorded: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a class of values
    return {field.name: recorded[field.name] for field in fields(kind) if field.name in recorded}


def _with_origin(card: Card, original: Checkpoint, path: Path) -> Card:
    made_of = {"path": str(path), "sha256": original.card.sha256()}
    return card.model_copy(update={"training": {**card.training, "compressed_from": made_of}})


def _in_bfloat16(forward: Forward) -> Forward:
    def halved(batch: WindowBatch) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return forward(batch)

    return halved


def _in_integers(model: FusedModel) -> FusedModel:
    """Return a copy with int8 linear layers: int8 weights, and activations quantised per row at run time."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_  # noqa: PLC0415 - an extra

    quantised = copy.deepcopy(model)
    quantize_(quantised, Int8DynamicActivationInt8WeightConfig())
    return quantised


def _not_worth(forms: Mapping[str, FormMeasurement], base: str) -> list[str]:
    """Return the forms without a gain: no faster, or with a clearly lower score than the form that they derive from."""
    found = []
    for name, form in forms.items():
        if name == ORIGINAL:
            continue
        is_first = name == base or (name.startswith("pruned") and "stored" not in name)
        against = forms[ORIGINAL if is_first else base]
        if form.window_ms is not None and against.window_ms and form.window_ms > _WORTH_SPEED * against.window_ms:
            found.append(f"{name}: {form.window_ms / against.window_ms:.2f} times the time")
        if form.score < against.score - _WORTH_SCORE:
            found.append(f"{name}: {form.score - against.score:+.3f} in score")
    return found


def _as_json(report: CompressionReport) -> dict[str, object]:
    return {
        "written": report.written,
        "threads": torch.get_num_threads(),
        "forms": {name: asdict(form) for name, form in report.forms.items()},
        "not_worth": report.not_worth,
        "model_sha256": report.card.sha256(),
    }
