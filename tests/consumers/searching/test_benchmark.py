"""A small run of the benchmark of the search: that it measures, not how fast it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import search


def test_the_benchmark_measures_each_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With an approximate index of the vectors, which is trained on 12,000 of them."""
    file = tmp_path / "figures.json"
    assert search.main(["--windows", "6000", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert figures["recall of the 10 nearest"] > 0.9
    assert all(value > 0 for value in figures.values())
    assert "meaning, p50 ms" in capsys.readouterr().out
