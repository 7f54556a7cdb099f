"""Compress a trained model: prune, train a little more, store smaller, and measure every form beside the original."""

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
from triptych.models.execution.export import GRAPH_FORMS, GraphError, GraphForm, export_graph, load_graph
from triptych.models.execution.export_cache import GraphNetwork
from triptych.models.network.architecture import build_network
from triptych.models.network.collate import WindowBatch
from triptych.models.network.fused import FusedModel
from triptych.models.trained import graph_source
from triptych.schemas.errors import UsageError
from triptych.training.batches import ExampleSource, LabelledBatch
from triptych.training.compression.measuring import (
    Answer,
    Measured,
    agreement,
    answers,
    score_of,
    window_ms,
)
from triptych.training.compression.pruning import prune
from triptych.training.config import LossConfig, NetworkConfig, TrainConfig
from triptych.training.data.example import Dataset
from triptych.training.evaluation.subject import subject_of
from triptych.training.processes import Processes
from triptych.training.progress import Watcher
from triptych.training.trainer import Trainer, repeatable

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
class CompressionOptions:
    """Say how a model is to become smaller.

    Attributes:
        share: of the numbers between layers that are taken away; 0 takes none.
        steps: of training afterwards, the original being the teacher.
        storage: what the file holds its matrices as.
        split: which examples are measured on.
        examples: so many at most.
        graph: measure it as a graph too: `off`; `export`; `aot`, which means both.
    """

    share: float
    steps: int
    storage: Storage
    split: str
    examples: int
    graph: str = "off"

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UsageError: a value is out of its range.
        """
        if not 0 <= self.share < 1:
            raise UsageError(f"prune: expected at least 0 and less than 1, got {self.share}")
        if self.storage not in STORAGES:
            raise UsageError(f"storage: expected one of {', '.join(STORAGES)}, got {self.storage!r}")
        if self.graph not in {"off", *GRAPH_FORMS}:
            raise UsageError(f"compile: expected one of off, {', '.join(GRAPH_FORMS)}, got {self.graph!r}")

    @property
    def graphs(self) -> tuple[GraphForm, ...]:
        """Return the forms of graphs that are measured."""
        return () if self.graph == "off" else GRAPH_FORMS[: GRAPH_FORMS.index(self.graph) + 1]


@dataclass(frozen=True, slots=True)
class CompressionReport:
    """Hold what came out.

    Attributes:
        forms: what was measured, by form, the original first.
        written: the form that the checkpoint has.
        not_worth: what did not pay on this machine, in words.
        card: of the checkpoint.
    """

    forms: Mapping[str, Measured]
    written: str
    not_worth: tuple[str, ...]
    card: Card


def compress(
    path: Path, dataset: Dataset, wishes: CompressionOptions, folder: Path, *, weights_folder: Path, watch: Watcher
) -> CompressionReport:
    """Compress the checkpoint at `path` into a folder.

    Raises:
        UsageError: the checkpoint cannot be read, was trained for something else, or the folder has a model already.
    """
    if any(folder.glob(f"*{CARD_SUFFIX}")):
        raise UsageError(f"{folder} holds a model already; take another folder")
    original = load_checkpoint(path, weights_folder=weights_folder)
    subject_of(original, dataset.task, _CPU)
    bench = _Bench(dataset, original, wishes)
    bench.add(ORIGINAL, original.network.model)
    base, best = ORIGINAL, original
    if wishes.share:
        base, best = f"pruned {wishes.share:.0%}", _pruned(original, wishes.share, weights_folder)
        if wishes.steps:
            bench.add(base, best.network.model)
            base, best = f"{base}, trained", _trained(best, path, dataset, wishes, weights_folder, watch)
        bench.add(base, best.network.model)
    for storage in STORAGES[1:]:
        bench.store(f"{base}, stored as {storage}", best.network.model, storage, wanted=storage == wishes.storage)
    bench.compute(best.network.model)
    for form in wishes.graphs:
        bench.graph(best, form)
    card = save_checkpoint(
        folder / "model", best.network.model, _told(best.card, original, path), storage=wishes.storage
    )
    written = base if wishes.storage == "fp32" else f"{base}, stored as {wishes.storage}"
    report = bench.report(base, written, card)
    (folder / REPORT_FILE).write_text(json.dumps(_as_json(report), indent=2) + "\n", encoding="utf-8")
    return report


class _Bench:
    """Measures the forms of a model, one after the other; their speed at the end, taking turns."""

    def __init__(self, dataset: Dataset, original: Checkpoint, wishes: CompressionOptions) -> None:
        source = ExampleSource(dataset, original.card.input.spec(), original.network.tokenize)
        size = min(wishes.examples, dataset.size(wishes.split) if wishes.split in dataset.splits else 0)
        if not size:
            raise UsageError(f"split: expected one of {', '.join(dataset.splits)}, got {wishes.split!r}")
        self._batches: list[LabelledBatch] = list(source.in_order(wishes.split, size, _BATCH))
        self._kind = dataset.task.kind
        self._head = original.card.architecture.targets[0].name
        self._frozen = original.card.architecture.frozen
        self._said: dict[str, Tensor] = {}
        self._forms: dict[str, Measured] = {}
        self._timed: dict[str, Answer] = {}
        self._missing: list[str] = []

    def add(self, name: str, model: FusedModel) -> None:
        """Measure a network as it is."""
        model.eval()
        size = len(save(trained_state(model, self._frozen)))
        self._measure(name, self._answer(model), model, size_bytes=size)
        self._timed[name] = self._answer(model)

    def store(self, name: str, model: FusedModel, storage: Storage, *, wanted: bool) -> None:
        """Measure what a file of this storage gives back."""
        try:
            content = quantise(trained_state(model, self._frozen), model, storage)
        except ModuleNotFoundError:
            if wanted:
                raise
            self._missing.append('int8: torchao is not installed: pip install "triptych[compress]"')
            return
        back = copy.deepcopy(model)
        back.load_state_dict(dequantise(content), strict=False)
        self._measure(name, self._answer(back), back, size_bytes=len(save(content)))

    def compute(self, model: FusedModel) -> None:
        """Measure other ways to compute the same, none of which changes the file."""
        self._try("computed in bfloat16", lambda: _in_bfloat16(self._answer(model)), model)
        self._try("computed in int8 (torchao)", lambda: self._answer(_in_integers(model)), model)

    def graph(self, checkpoint: Checkpoint, form: GraphForm) -> None:
        """Measure the network as a graph, which is made on the machine that serves it and is no part of the file."""
        subject, model = graph_source(checkpoint), checkpoint.network.model
        if checkpoint.card.input.features:
            self._missing.append(f"{_GRAPH_NAMES[form]}: graphs are for windows of media, not for features")
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.pt2"
            try:
                export_graph(model, subject.example_batch(), subject.modalities, form, path)
                answer = self._answer(GraphNetwork(model, load_graph(path, form), subject.modalities))
            except GraphError as error:
                self._missing.append(str(error))
                return
            name = _GRAPH_NAMES[form]
            self._measure(name, answer, model, size_bytes=path.stat().st_size)
            self._timed[name] = answer

    def report(self, base: str, written: str, card: Card) -> CompressionReport:
        """Return everything, now with the speed."""
        first = self._batches[0]
        speeds = window_ms(self._timed, first.windows, len(first.target))
        forms = {name: replace(form, window_ms=speeds.get(name)) for name, form in self._forms.items()}
        return CompressionReport(forms, written, (*_not_worth(forms, base), *self._missing), card)

    def _try(self, name: str, make: Callable[[], Answer], model: FusedModel) -> None:
        try:
            answer = make()
            self._measure(name, answer, model, size_bytes=None)
        except ModuleNotFoundError:
            return  # said already, where it is stored
        except RuntimeError as error:  # so torch says that an operation has no kernel for this type or processor
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            self._missing.append(f"{name}: does not run here: {reason}")
            return
        self._timed[name] = answer

    def _measure(self, name: str, answer: Answer, model: nn.Module, *, size_bytes: int | None) -> None:
        said = answers(answer, self._batches)
        self._said[name] = said
        self._forms[name] = Measured(
            size_bytes=size_bytes,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            score=score_of(said, self._batches, self._kind),
            agreement=agreement(said, self._said[ORIGINAL], self._kind),
            window_ms=None,
        )

    def _answer(self, model: nn.Module) -> Answer:
        def answer(batch: WindowBatch) -> Tensor:
            said: Tensor = model(batch)[self._head]
            return said

        return answer


def _pruned(original: Checkpoint, share: float, weights_folder: Path) -> Checkpoint:
    network = build_network(original.card.architecture, weights_folder=weights_folder)
    network.model.load_state_dict(original.network.model.state_dict())
    smaller = prune(network.model, original.card.architecture, share)
    return Checkpoint(original.card.model_copy(update={"architecture": smaller}), network)


def _trained(
    pruned: Checkpoint,
    teacher: Path,
    dataset: Dataset,
    wishes: CompressionOptions,
    weights_folder: Path,
    watch: Watcher,
) -> Checkpoint:
    """Train what is left as the original was trained, more gently, the original being the teacher."""
    config = _config(pruned.card, wishes.steps, teacher)
    state = {name: tensor.clone() for name, tensor in pruned.network.model.state_dict().items()}
    with repeatable(_CPU):
        trainer = Trainer(
            dataset, pruned.card, config, weights_folder=weights_folder, device=_CPU, processes=Processes()
        )
        trainer.start_from(state)
        with tempfile.TemporaryDirectory() as folder:
            trainer.run(Path(folder), [watch])
            return load_checkpoint(Path(folder), weights_folder=weights_folder)


def _config(card: Card, steps: int, teacher: Path) -> TrainConfig:
    """Return how the model was trained, as its card says, for fewer steps; the usual where the card does not say it."""
    told: dict[str, Any] = dict(card.training.get("config", {}))
    network = NetworkConfig(**_known(NetworkConfig, told.pop("network", {})))
    loss = LossConfig(**_known(LossConfig, told.pop("loss", {})))
    config = TrainConfig(**_known(TrainConfig, told))
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


def _known(kind: Any, told: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a class of values
    return {field.name: told[field.name] for field in fields(kind) if field.name in told}


def _told(card: Card, original: Checkpoint, path: Path) -> Card:
    made_of = {"path": str(path), "sha256": original.card.sha256()}
    return card.model_copy(update={"training": {**card.training, "compressed_from": made_of}})


def _in_bfloat16(answer: Answer) -> Answer:
    def halved(batch: WindowBatch) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return answer(batch)

    return halved


def _in_integers(model: FusedModel) -> FusedModel:
    """Return a copy whose linear layers multiply integers of 8 bits, each row of the activations having its scale."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_  # noqa: PLC0415 - an extra

    own = copy.deepcopy(model)
    quantize_(own, Int8DynamicActivationInt8WeightConfig())
    return own


def _not_worth(forms: Mapping[str, Measured], base: str) -> list[str]:
    """Say of each form what it costs for nothing: no faster, or clearly worse than what it was made of."""
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
