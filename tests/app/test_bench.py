"""`triptych bench`: the benchmarks of a checkout, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from triptych.bench import bench
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKOUT = Path(__file__).parents[2]


def exit_code_of(names: Sequence[str], json_file: Path | None = None) -> int:
    """Run benchmarks with a small amount of work, and return the exit code."""
    with pytest.raises(typer.Exit) as ended:
        bench(list(names), rounds=1, small=True, json_file=json_file)
    return ended.value.exit_code


def test_a_benchmark_runs_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It prints a table, and appends its figures to a file."""
    monkeypatch.chdir(CHECKOUT)
    assert exit_code_of(["decode"], tmp_path / "figures.jsonl") == 0
    assert "our codec" in capfd.readouterr().out
    [figures] = map(json.loads, (tmp_path / "figures.jsonl").read_text(encoding="utf-8").splitlines())
    assert (figures["name"], figures["rounds"]) == ("decode", 1)


def test_an_unknown_name_is_refused_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And nothing is measured."""
    monkeypatch.chdir(CHECKOUT)
    assert exit_code_of(["nothing"]) == 2
    captured = capfd.readouterr()
    assert captured.err.startswith("triptych bench: expected names of decode")
    assert not captured.out


def test_a_file_for_figures_that_cannot_be_written_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says which file, and why."""
    monkeypatch.chdir(CHECKOUT)
    assert exit_code_of(["decode"], Path("/proc/nothing/figures.jsonl")) == 2
    captured = capfd.readouterr()
    assert "--json: expected a file that can be written, got /proc/nothing/figures.jsonl" in captured.err
    assert not captured.out


def test_outside_a_checkout_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed package has no benchmarks."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="expected a checkout of Triptych as working folder"):
        bench()
