"""What must hold of any log: the last section but one of the rules, over thousands of random logs."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.worker.alignment.logs import configs, feeds, noisy_logs
from tests.worker.alignment.simulation import described, disturbed, identity, live, printed, replay, windows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triptych.worker.alignment.config import AlignConfig
    from triptych.worker.alignment.entry import Entry

logs = noisy_logs | feeds()
seeds = st.integers(0, 2**32 - 1)


def thousands(cases: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a property over so many cases, the same ones on every machine."""
    return settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def chance_of(seed: int) -> Random:
    """Return the chance of one case."""
    return Random(seed)  # noqa: S311 (a test's dice, no secret)


@thousands(800)
@given(configs(bounded=True), logs, seeds)
def test_a_log_read_again_in_any_chunks_decides_the_same(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """The same outcomes in the same order, to the last field of the state."""
    note(printed(entries))
    once, again = replay(config, entries), replay(config, entries, chance_of(seed))

    assert again == once


@thousands(1200)
@given(configs(bounded=True), logs, seeds)
def test_a_log_read_while_it_grows_decides_as_it_does_years_later(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """Live is replay, however slowly and in whatever pieces the log was read."""
    note(printed(entries))

    assert live(config, entries, chance_of(seed)) == replay(config, entries)


@thousands(2000)
@given(configs(), logs, seeds)
def test_members_that_die_at_any_moment_leave_what_one_undisturbed_member_leaves(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """Ids, contents, states, closed_by, skipped and dead are those of the undisturbed run, and nothing comes twice."""
    note(printed(entries))
    undisturbed = windows_of(replay(config, entries))
    left = disturbed(config, entries, chance_of(seed))
    results = [result for _, result in left.results]

    assert sorted(map(described, results)) == sorted(map(described, undisturbed))
    assert len({identity(result) for result in results}) == len({identity(result) for result in undisturbed})
