"""What descriptions cost a day, and whether the next one may be paid. No I/O.

The day's spending is the sum over the descriptions that were published on that day (UTC), so it survives a restart and
counts what all programs of the pipeline spend. Requests in flight are reserved by an estimate.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from triptych.schemas.perception.descriptions import Description, DescriptionCost
from triptych.units import NS_PER_S

_TOKENS_PER_PRICE: Final = 1_000_000
_NS_PER_DAY: Final = 86_400 * NS_PER_S
_CENTS_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """The prices that the user pays, in US dollars for a million tokens."""

    usd_per_million_input: float = 0.0
    usd_per_million_output: float = 0.0

    def cost(self, input_tokens: int, output_tokens: int, *, estimated: bool = False) -> DescriptionCost:
        """Return what tokens cost."""
        usd = input_tokens * self.usd_per_million_input + output_tokens * self.usd_per_million_output
        return DescriptionCost(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            usd=round(usd / _TOKENS_PER_PRICE, _CENTS_DIGITS),
            estimated=estimated,
        )


@dataclass(frozen=True, slots=True)
class DailyBudget:
    """The largest spending of a day (UTC); None for no limit."""

    tokens: int | None = None
    usd: float | None = None


@dataclass(slots=True)
class _Spent:
    tokens: int = 0
    usd: float = 0.0


class SpendingLedger:
    """The spending of each day, and what is reserved for requests in flight."""

    def __init__(self, budget: DailyBudget) -> None:
        self._budget = budget
        self._days: defaultdict[int, _Spent] = defaultdict(_Spent)
        self._reserved = _Spent()

    def add(self, description: Description) -> None:
        """Add what a published description has cost, to the day of its publication."""
        spent = self._days[description.published_ns // _NS_PER_DAY]
        _add(spent, description.cost)

    def reserve(self, expected: DescriptionCost, now_ns: int) -> bool:
        """Reserve the expected cost of a request; return False if that would exceed the day's budget."""
        tokens, usd = self.spent(now_ns)
        cost_tokens = expected.input_tokens + expected.output_tokens
        if self._budget.tokens is not None and tokens + self._reserved.tokens + cost_tokens > self._budget.tokens:
            return False
        if self._budget.usd is not None and usd + self._reserved.usd + expected.usd > self._budget.usd:
            return False
        _add(self._reserved, expected)
        return True

    def release(self, expected: DescriptionCost) -> None:
        """End a reservation."""
        self._reserved.tokens -= expected.input_tokens + expected.output_tokens
        self._reserved.usd -= expected.usd

    def spent(self, now_ns: int) -> tuple[int, float]:
        """Return the tokens and US dollars that were spent today."""
        today = self._days.get(now_ns // _NS_PER_DAY, _Spent())
        return today.tokens, today.usd


def _add(spent: _Spent, cost: DescriptionCost) -> None:
    spent.tokens += cost.input_tokens + cost.output_tokens
    spent.usd += cost.usd
