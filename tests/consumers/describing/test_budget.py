"""The day's budget: kept over restarts, over requests at the same time, and over programs of the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from tests.consumers.describing.conftest import make_window
from tests.consumers.describing.test_gate import description_of
from triptych.consumers.describing.budget import DailyBudget, SpendingLedger, TokenPrices
from triptych.consumers.describing.program import spending_limits
from triptych.schemas.errors import UsageError
from triptych.schemas.perception.descriptions import DescriptionCost

if TYPE_CHECKING:
    from tests.consumers.describing.conftest import Bench, Options
    from tests.scripted_endpoint import ScriptedEndpoint

DAY_NS = 86_400 * 10**9
NOW_NS = 20_000 * DAY_NS + 5
COST = DescriptionCost(input_tokens=60, output_tokens=40, usd=0.5)


@pytest.mark.parametrize("budget", [DailyBudget(tokens=350), DailyBudget(usd=1.75)])
def test_requests_in_flight_count_and_the_next_day_is_another_one(budget: DailyBudget) -> None:
    """Three requests fit; a reservation that ends without cost makes room, a description does not."""
    ledger = SpendingLedger(budget)
    assert [ledger.reserve(COST, NOW_NS) for _ in range(4)] == [True, True, True, False]
    ledger.release(COST)
    assert ledger.reserve(COST, NOW_NS)
    ledger.release(COST)
    ledger.add(description_of(make_window(0), cost=COST, published_ns=NOW_NS))
    assert not ledger.reserve(COST, NOW_NS)
    assert ledger.spent(NOW_NS) == (100, 0.5)
    assert ledger.reserve(COST, NOW_NS + DAY_NS)


def test_prices_are_for_a_million_tokens() -> None:
    """Input and output have their own."""
    assert TokenPrices(2.0, 10.0).cost(500_000, 100_000).usd == 2.0


def test_a_budget_in_dollars_needs_prices(options: Options) -> None:
    """Otherwise everything would cost nothing."""
    with pytest.raises(UsageError, match="--usd-per-million-input"):
        spending_limits(options(limits={"budget_usd_per_day": 1.0}))


def test_the_spending_of_the_day_survives_a_restart(bench: Bench, endpoint: ScriptedEndpoint, options: Options) -> None:
    """It is read from the descriptions topic; what no longer fits is skipped, counted and logged once."""
    limits = {"limits": {"budget_tokens_per_day": 6_000}}
    endpoint.usage = {"prompt_tokens": 700, "completion_tokens": 300}
    bench.publish(make_window(0))
    assert bench.run(options(**limits)) == 1  # one request is expected to take 5,500 tokens

    bench.publish(make_window(1), make_window(2))
    with capture_logs() as logs:
        assert bench.run(options(**limits)) == 0
    assert bench.skipped("budget") == 2
    (reached,) = [line for line in logs if line["event"] == "description_budget_reached"]
    assert reached["tokens"] == 1_000
    assert len(endpoint.asked) == 1


def test_refused_answers_count(bench: Bench, endpoint: ScriptedEndpoint, options: Options) -> None:
    """They were paid as well."""
    limits = {"limits": {"budget_tokens_per_day": 6_000}}
    endpoint.usage = {"prompt_tokens": 700, "completion_tokens": 300}
    endpoint.plan = [lambda _: "no"] * 2
    bench.publish(make_window(0), make_window(1))
    bench.run(options(**limits))
    assert [one.outcome for one in bench.descriptions()] == ["refused"]
    assert bench.skipped("budget") == 1
