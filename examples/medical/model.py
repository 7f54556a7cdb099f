"""The project's network over three sources: its encoders, fusion and heads, its modality dropout and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from examples.medical.phantoms import FINDINGS
from examples.medical.records import VECTOR_DIMS
from examples.medical.studies import INPUT_NAMES, RECORD, SPEC, Study, study_windows
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.encoders.features import FeatureEncoder
from triptych.models.network.encoders.hashed_words import hash_words
from triptych.models.network.encoders.small_text import SmallTextEncoder
from triptych.models.network.encoders.small_video import SmallVideoEncoder
from triptych.models.network.fused import FusedModel
from triptych.models.network.fusions.registry import build_fusion
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.heads import HeadReadout, LogitsHead
from triptych.models.network.parts import Encoded, Encoder, Features, Head
from triptych.models.network.shapley import shapley_values, shares
from triptych.models.network.token_space import TokenSpace
from triptych.models.window import PreparedWindow
from triptych.training.fit_temperature import fit_temperature
from triptych.training.losses import drop_modalities

HEAD: Final = "findings"
_WIDTH: Final = 64
_AUXILIARY: Final = 0.3
_SOURCE_NAMES: Final = {name: source for source, name in INPUT_NAMES.items()}


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to train: steps, studies in a step, peak learning rate, modality dropout, and the allowed error of answers.

    Attributes:
        steps: number of steps.
        batch: studies in a step.
        rate: peak learning rate; it falls by half a cosine.
        dropout: probability of dropping each source of a study; one always stays.
        error: share of wrong answers among those given on the validation studies, from which abstention follows.
        seed: seed of weights, order and dropout.
    """

    steps: int = 600
    batch: int = 32
    rate: float = 2e-3
    dropout: float = 0.25
    error: float = 0.05
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FindingAnswer:
    """What the model says about one finding of a study.

    Attributes:
        finding: name of the finding.
        probability: calibrated probability.
        answer: found or not; None if the model abstains.
        shares: contribution of each source, from exact Shapley values; they sum to 1, or are all 0.
    """

    finding: str
    probability: float
    answer: bool | None
    shares: Mapping[str, float]


class RecordsModel:
    """Predict the findings of studies with any of their sources."""

    def __init__(self, *, fusion: str = "attention", seed: int = 0) -> None:
        torch.manual_seed(seed)
        encoders: dict[str, Encoder] = {
            "video": SmallVideoEncoder(),
            "text": SmallTextEncoder(),
            RECORD: FeatureEncoder(RECORD, 1, VECTOR_DIMS, dim=32),
        }
        heads: dict[str, Head] = {HEAD: _head(HEAD, Head.FUSED)}
        heads |= {f"alone-{name}": _head(f"alone-{name}", name) for name in encoders}
        shape = FusionShape(tuple(sorted(encoders)), _WIDTH, (HEAD,))
        self.network = FusedModel(
            encoders,
            heads,
            build_fusion(fusion, shape),
            projector=TokenSpace({name: encoder.dim for name, encoder in encoders.items()}, _WIDTH),
        )
        self.temperature = 1.0
        self.least_certainty = np.zeros(len(FINDINGS))
        self._prior = torch.full((len(FINDINGS),), 0.5)

    def fit(
        self,
        train: tuple[Sequence[Study], NDArray[np.bool_]],
        validation: tuple[Sequence[Study], NDArray[np.bool_]],
        options: FitOptions,
    ) -> None:
        """Train on studies with their findings, bool [N, K]; then fit calibration and abstention. Blocks."""
        studies, truth = train
        windows = study_windows(studies)
        targets = torch.from_numpy(truth.astype(np.float32))
        self._prior = targets.mean(0)
        record = torch.from_numpy(np.concatenate([w.features[RECORD] for w in windows if RECORD in w.features]))
        encoder = self.network.encoders[RECORD]
        if isinstance(encoder, FeatureEncoder):
            encoder.fit_normalization(record)
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=options.rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
        order = np.random.default_rng(options.seed)
        dropped = torch.Generator().manual_seed(options.seed)
        torch.manual_seed(options.seed)
        self.network.train()
        for _ in range(options.steps):
            rows = order.choice(len(windows), min(options.batch, len(windows)), replace=False)
            loss = self._loss(_collated([windows[row] for row in rows]), targets[rows], options.dropout, dropped)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        self._calibrate(*validation, options.error)

    def logits(self, studies: Sequence[Study]) -> NDArray[np.float64]:
        """Return the logits of the findings, float64 [N, K]."""
        self.network.eval()
        with torch.inference_mode():
            found = [
                self.network(_collated(study_windows(studies[first : first + 64])))[HEAD]
                for first in range(0, len(studies), 64)
            ]
        return np.asarray(torch.cat(found).double().numpy())

    def probabilities(self, studies: Sequence[Study]) -> NDArray[np.float64]:
        """Return the calibrated probabilities of the findings, float64 [N, K]."""
        return np.asarray(1 / (1 + np.exp(-self.logits(studies) / self.temperature)))

    def abstains(self, probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for which probabilities, float [N, K], the model gives no answer, bool [N, K]."""
        return np.asarray(np.abs(probabilities - 0.5) < self.least_certainty)

    def answer(self, study: Study) -> list[FindingAnswer]:
        """Return what the model says about each finding of one study, and from which source it comes."""
        probabilities = self.probabilities([study])
        abstains = self.abstains(probabilities)[0]
        self.network.eval()
        with torch.no_grad():
            encoded = self.network.encode(_collated(study_windows([study])))
        answers = []
        for index, finding in enumerate(FINDINGS):
            probability = float(probabilities[0, index])
            said = None if abstains[index] else probability >= 0.5  # noqa: PLR2004 - the more probable answer
            answers.append(FindingAnswer(finding, probability, said, self._shares(encoded, index)))
        return answers

    def _shares(self, encoded: Mapping[str, Encoded], index: int) -> dict[str, float]:
        def values(masked: Mapping[str, Encoded]) -> Tensor:
            logits: Tensor = self.network.heads[HEAD](self.network.features(masked))
            return (logits / self.temperature).sigmoid()

        with torch.no_grad():
            contributions = shapley_values(encoded, values, self._prior, torch.tensor([index]))
        names = tuple(INPUT_NAMES.values())
        found = shares(contributions, names)[0].tolist()
        return {_SOURCE_NAMES[name]: float(share) for name, share in zip(names, found, strict=True)}

    def _loss(self, batch: WindowBatch, target: Tensor, dropout: float, rng: torch.Generator) -> Tensor:
        encoded = self.network.encode(batch)
        fused = self.network.features(drop_modalities(encoded, dropout, rng))
        outputs = self.network.apply_heads(Features(encoded, fused.fused))
        total = functional.binary_cross_entropy_with_logits(outputs[HEAD], target)
        for name, one in encoded.items():
            rows = one.present
            alone = functional.binary_cross_entropy_with_logits(outputs[f"alone-{name}"][rows], target[rows])
            total = total + _AUXILIARY * alone / len(encoded)
        return total

    def _calibrate(self, studies: Sequence[Study], truth: NDArray[np.bool_], error: float) -> None:
        """Fit the temperature, and the least certainty at which answers are wrong in at most this share of cases."""
        logits = torch.from_numpy(self.logits(studies))
        self.temperature = fit_temperature(logits, torch.from_numpy(truth.astype(np.float64)), "multilabel")
        probabilities = self.probabilities(studies)
        wrong = (probabilities >= 0.5) != truth  # noqa: PLR2004
        certainty = np.abs(probabilities - 0.5)
        self.least_certainty = np.array([
            _least_certainty(certainty[:, index], wrong[:, index], error) for index in range(truth.shape[1])
        ])  # fmt: skip


def _least_certainty(certainty: NDArray[np.float64], wrong: NDArray[np.bool_], error: float) -> float:
    """Return the lowest certainty from which on at most this share is wrong; 0.5 if there is none."""
    order = np.argsort(-certainty, kind="stable")
    shares_wrong = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    allowed = np.flatnonzero(shares_wrong <= error)
    return float(certainty[order[allowed[-1]]]) if len(allowed) else 0.5


def _head(name: str, source: str) -> LogitsHead:
    return LogitsHead(HeadReadout(name, source, width=_WIDTH), source, width=_WIDTH, labels=len(FINDINGS))


def _collated(windows: Sequence[PreparedWindow]) -> WindowBatch:
    return collate(windows, empty_batch(len(windows), 1, SPEC), hash_words)
