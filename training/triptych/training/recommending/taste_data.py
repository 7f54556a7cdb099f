"""What a recommender is trained with: for each user the items in their order, and vectors of items. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.errors import UsageError

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class UserEvents:
    """The N events of one user, oldest first, at most one for each item.

    Attributes:
        items: int32 [N], numbers of items.
        weights: float32 [N], positive for watched and liked, negative for skipped.
        times_ns: int64 [N].
        profile: float32 [D], vector of the profile; None without one.
    """

    items: NDArray[np.int32]
    weights: Floats
    times_ns: NDArray[np.int64]
    profile: Floats | None = None

    def __len__(self) -> int:
        return len(self.items)

    def where(self, chosen: NDArray[np.bool_]) -> UserEvents:
        """Return the chosen events."""
        return replace(self, items=self.items[chosen], weights=self.weights[chosen], times_ns=self.times_ns[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class TasteData:
    """The events of U users with I items.

    Attributes:
        users: the events of each user.
        vectors: float32 [I, D], vectors of the items, of length 1; zeros where an item has none.
    """

    users: Sequence[UserEvents]
    vectors: Floats

    @property
    def events(self) -> int:
        """The number of events."""
        return sum(map(len, self.users))

    def before(self, time_ns: int) -> TasteData:
        """Return the events before a time. Users without one stay, with none."""
        return replace(self, users=[user.where(user.times_ns < time_ns) for user in self.users])

    def split_time_ns(self, share: float) -> int:
        """Return the time before which this share of the events was.

        Raises:
            UsageError: there are no events.
        """
        if not self.events:
            raise UsageError("recommender: expected interactions to learn from, got none")
        times_ns = np.concatenate([user.times_ns for user in self.users])
        return int(np.quantile(times_ns, share, method="nearest")) + 1

    def counts(self, since_ns: int = 0) -> Floats:
        """Return how many users watched or liked each item since a time, float32 [I]."""
        counts = np.zeros(len(self.vectors), np.float32)
        for user in self.users:
            counts[user.items[(user.weights > 0) & (user.times_ns >= since_ns)]] += 1
        return counts
