"""A small run of the benchmark of the search: that it measures, not how fast it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks import search, search_recall
from tools.devservers import DevPostgres


def test_the_benchmark_measures_each_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an approximate index of the vectors, which is trained on 12,000 of them."""
    file = tmp_path / "figures.json"
    monkeypatch.setattr(search, "QUERIES", 20)
    monkeypatch.setattr(search_recall, "QUERIES", 20)
    assert search.main(["--windows", "6000", "--json", str(file), "--keep", str(tmp_path / "kept")]) == 0
    figures = json.loads(file.read_text())
    assert figures["recall of the 10 nearest"] > 0.9
    assert all(value > 0 for value in figures.values())
    assert "meaning, p50 ms" in capsys.readouterr().out
    assert search_recall.main([str(tmp_path / "kept")]) == 0
    shares = [re.fullmatch(r"(.{40})(\S+) of \d+ queries", line) for line in capsys.readouterr().out.splitlines()]
    recall = {share[1].strip(): float(share[2]) for share in shares if share is not None}
    assert len(recall) == len(shares) == 6
    assert min(recall.values()) > 0.9
    assert recall["a word that was said"] == recall["a word that was said, the second half"] == 1


def test_the_benchmark_measures_a_server(
    tmp_path: Path, postgres_server: DevPostgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So few vectors have no approximate index. The index is deleted at the end."""
    file = tmp_path / "figures.json"
    monkeypatch.setattr(search, "QUERIES", 10)
    monkeypatch.setenv("PGPASSWORD", postgres_server.password)
    options = ["--store", "postgresql", "--url", postgres_server.url(), "--windows", "400", "--json", str(file)]
    assert search.main(options) == 0
    figures = json.loads(file.read_text())
    assert figures["recall of the 10 nearest, of a search for ten"] >= 0.99
    assert figures.pop("index of the vectors, bytes a window") == 0
    assert all(value > 0 for value in figures.values())
    assert "table, bytes a window" in capsys.readouterr().out
    assert postgres_server.ask("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'triptych%'") == "0"
