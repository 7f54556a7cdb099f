"""Train the ranking head on lists: items that a user turned to next, among items that the user did not.

`triptych train` is for networks on windows, with one target for each example. Here an example is a list of candidates
and the loss compares them with one another, so this is a loop of its own, with the trainer's schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.consumers.recommending.ranking_features import FEATURES
from triptych.consumers.recommending.ranking_head import RankingHead, shipped_head
from triptych.training.schedule import rate_at

Floats = NDArray[np.float32]

_VALIDATE_EVERY: Final = 25
FEWEST_LISTS: Final = 20
"""With fewer, the shipped head stays."""


@dataclass(frozen=True, slots=True)
class RankingHeadConfig:
    """How a head is trained.

    Attributes:
        hidden: hidden units.
        steps: steps of AdamW.
        batch: lists in a step.
        rate: peak learning rate.
        weight_decay: of AdamW.
        negatives: items of each list that the user did not turn to.
        held_out: share of the events, the newest, that are to be predicted.
        most_lists: the most users.
        validation: share of the lists that choose the best step.
        short_history: share of the lists whose history is cut to five items at most, as that of a new user.
        seed: of all that is drawn.
    """

    hidden: int = 16
    steps: int = 600
    batch: int = 128
    rate: float = 0.01
    weight_decay: float = 0.01
    negatives: int = 200
    held_out: float = 0.2
    most_lists: int = 4_000
    validation: float = 0.15
    short_history: float = 0.25
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class CandidateLists:
    """L lists of C candidates.

    Attributes:
        features: float32 [L, C, F].
        targets: float32 [L, C], 1 / n for each of the n items that the user turned to, otherwise 0.
        present: bool [L, C], false where a list is shorter.
    """

    features: Floats
    targets: Floats
    present: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """A head, and its mean loss on lists that it was not fitted to, beside that of the shipped one, in nats."""

    head: RankingHead
    loss: float
    shipped_loss: float
    lists: int


class _HeadNetwork(nn.Module):
    """The head while it is trained; it begins as the shipped one."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.from_numpy(shipped_head().linear.copy()))
        self.hidden = nn.Linear(len(FEATURES), hidden)
        self.output = nn.Parameter(torch.zeros(hidden))

    def forward(self, features: Tensor) -> Tensor:
        """Return scores, [L, C], of features, [L, C, F]."""
        hidden = torch.relu(self.hidden(features))
        return features @ self.linear + hidden @ self.output

    def as_head(self) -> RankingHead:
        """Return the weights."""
        parts = (self.linear, self.hidden.weight, self.hidden.bias, self.output)
        return RankingHead(*(part.detach().numpy().copy() for part in parts))


def fit_head(lists: CandidateLists, config: RankingHeadConfig) -> FittedHead:
    """Fit a head to lists. The loss is the cross-entropy of the softmax over a list (ListNet, Cao et al., 2007)."""
    torch.manual_seed(config.seed)
    order = np.random.default_rng(config.seed).permutation(len(lists))
    held = max(1, round(config.validation * len(lists)))
    validation, training = order[:held], order[held:]
    features, targets = torch.from_numpy(lists.features), torch.from_numpy(lists.targets)
    present = torch.from_numpy(lists.present)
    network = _HeadNetwork(config.hidden)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.weight_decay)

    def loss_of(numbers: NDArray[np.int64]) -> Tensor:
        chosen = torch.from_numpy(numbers)
        scores = network(features[chosen]).masked_fill(~present[chosen], float("-inf"))
        weights = targets[chosen]
        logs = torch.log_softmax(scores, dim=1).masked_fill(weights == 0, 0.0)
        return -(weights * logs).sum(dim=1).mean()

    with torch.no_grad():
        shipped_loss = best_loss = float(loss_of(validation))
    best = network.as_head()
    rng = np.random.default_rng(config.seed + 1)
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.rate * rate_at("one-cycle", step, config.steps)
        optimizer.zero_grad()
        loss_of(rng.choice(training, min(config.batch, len(training)), replace=False)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (step + 1) % _VALIDATE_EVERY == 0 or step == config.steps - 1:
            with torch.no_grad():
                loss = float(loss_of(validation))
            if loss < best_loss:
                best_loss, best = loss, network.as_head()
    return FittedHead(best, best_loss, shipped_loss, len(lists))
