"""The operating page documents every metric and exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.transport.errors import EXIT_OFFSET_OUT_OF_RANGE, EXIT_UNAVAILABLE
from triptych.worker.errors import EXIT_MODEL_BROKEN, EXIT_STATE_UNREADABLE
from triptych.worker.observability.metrics import Metrics
from triptych.worker.publishing.stores.errors import EXIT_STORE_REFUSED

PAGE = (Path(__file__).parents[3] / "docs" / "operating.md").read_text(encoding="utf-8")


def test_every_metric_is_on_the_page() -> None:
    """Operators cannot watch an undocumented metric."""
    ours = {family.name for family in Metrics().registry.collect() if family.name.startswith("triptych_")}
    assert ours
    assert {name for name in ours if f"`{name}" not in PAGE} == set()


@pytest.mark.parametrize(
    "code", [EXIT_UNAVAILABLE, EXIT_OFFSET_OUT_OF_RANGE, EXIT_STORE_REFUSED, EXIT_MODEL_BROKEN, EXIT_STATE_UNREADABLE]
)
def test_every_exit_code_is_on_the_page(code: int) -> None:
    """Supervisors decide by the exit code."""
    assert f"\n| {code} | " in PAGE
