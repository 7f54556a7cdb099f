"""Each benchmark runs, with a small amount of work. An error fails these tests; a slow machine does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks.frame import Benchmark, Cost, measured, run, table, whole_process
from benchmarks.page import write_page
from benchmarks.suite import Size

PRODUCING = ("produce", "produce-1080p", "produce-mjpeg")
IN_THIS_PROCESS = ("decode", "aligner", "decode-aligner", "road", "streams", "latency", *PRODUCING)
QUICK_PROCESSES = ("start",)


def _cost(cpu_s: float) -> Cost:
    return Cost(units=10, cpu_s=cpu_s, wall_s=1.0, page_faults=5, peak_bytes=1_000_000, values={"p50_ms": cpu_s})


@pytest.mark.parametrize("name", [*IN_THIS_PROCESS, *QUICK_PROCESSES])
def test_a_small_run_measures_every_contender(name: str) -> None:
    """Each did some work, and took some time."""
    report = run(program.benchmark(name, Size(is_small=True)), rounds=1, warm_up=False)

    assert [each.name for each in report.contenders if each.cpu_us.median > 0] != []
    assert {report.limit, report.ours} <= {each.name for each in report.contenders}
    assert report.question in table(report)


@pytest.mark.parametrize("name", sorted(set(program.SUITE) - {*IN_THIS_PROCESS, *QUICK_PROCESSES}))
def test_the_other_benchmarks_are_made(name: str) -> None:
    """They start servers or load PyTorch, which `make bench` does."""
    benchmark = program.benchmark(name, Size(is_small=True))

    assert {benchmark.limit, benchmark.ours} <= benchmark.contenders.keys()


def test_the_ratio_is_taken_within_each_round() -> None:
    """The machine was twice as slow in the second round, for both contenders."""
    limits, ours = iter([_cost(1), _cost(2), _cost(1)]), iter([_cost(3), _cost(6), _cost(4)])
    contenders = {"limit": lambda: next(limits), "ours": lambda: next(ours)}

    report = run(Benchmark("x", "How much?", "record", contenders, "limit", "ours", goal=3), rounds=3, warm_up=False)

    ratio = report.contenders[1].ratio
    assert (ratio.median, ratio.least, ratio.largest) == (3, 3, 4)
    assert "ours at most 3 times the limit: reached" in table(report)
    assert report.contenders[1].cpu_us.median == 400_000


def test_a_round_to_warm_up_is_not_counted() -> None:
    """Its cost is ten times that of the others."""
    costs = iter([_cost(10), _cost(1), _cost(1)])

    report = run(Benchmark("x", "?", "record", {"only": lambda: next(costs)}, "only", "only"), rounds=2)

    assert report.contenders[0].cpu_us.largest == 100_000


def test_the_cost_of_work_in_this_process_is_measured() -> None:
    """Memory that is touched costs page faults and raises the peak."""
    megabytes = 64

    cost = measured(lambda: float(len(b"\1" * (megabytes << 20)) >> 20), lambda: {"extra": 1.0})

    assert (cost.units, cost.values) == (megabytes, {"extra": 1.0})
    assert cost.cpu_s > 0
    assert cost.peak_bytes > megabytes << 20


def test_a_program_that_fails_is_an_error() -> None:
    """Its figures would mean nothing."""
    with pytest.raises(Exception, match="exit status 3"):
        whole_process(["python3", "-c", "raise SystemExit(3)"])


def test_the_page_has_the_figures_of_the_last_run(tmp_path: Path) -> None:
    """And a plot beside it."""
    figures, page = tmp_path / "figures.jsonl", tmp_path / "performance.md"
    program.main(["decode", "--small", "--rounds", "1", "--json", str(figures)])
    program.main(["decode", "--small", "--rounds", "2", "--json", str(figures)])

    program.main(["--json", str(figures), "--page", str(page)])

    assert len(figures.read_text().splitlines()) == 2
    assert json.loads(figures.read_text().splitlines()[0])["name"] == "decode"
    text = page.read_text()
    assert "2 rounds" in text
    assert "1 rounds" not in text
    assert page.with_suffix(".png").stat().st_size > 1_000
    assert "did not help" in page.with_name("performance-log.md").read_text()


def test_values_and_their_goals_are_on_the_page(tmp_path: Path) -> None:
    """Such as a delay. The least and the largest value of the rounds are beside the median."""
    figures, page = tmp_path / "figures.jsonl", tmp_path / "performance.md"
    costs = iter([_cost(3), _cost(5)])
    goals = {"p50_ms": 3.5}
    benchmark = Benchmark("x", "?", "window", {"only": lambda: next(costs)}, "only", "only", value_goals=goals)
    report = run(benchmark, rounds=2, warm_up=False)
    figures.write_text(f"{report.to_json()}\n")

    write_page(figures, page)

    assert "| p50_ms | 4 (3 to 5) |" in page.read_text()
    assert "| p50_ms 3.5 | no |" in page.read_text()
    assert "p50_ms of only at most 3.5: 4, not reached" in table(report)


def test_goals_of_cpu_time_are_on_the_page_with_what_forbids_them(tmp_path: Path) -> None:
    """The reason stands only where a goal is missed."""
    figures, page = tmp_path / "figures.jsonl", tmp_path / "performance.md"
    for name, slow_s in (("missed", 3), ("reached", 1)):
        contenders = {"limit": lambda: _cost(1), "ours": lambda cpu_s=slow_s: _cost(cpu_s)}
        goals = {"ours": 200_000, "limit": 100_000}
        benchmark = Benchmark(
            name,
            "?",
            "record",
            contenders,
            "limit",
            "ours",
            cpu_goals_us=goals,
            clock_goals_us={"ours": 99_000 if name == "missed" else 100_000},
            forbids="its parser",
        )
        report = run(benchmark, rounds=1, warm_up=False)
        with figures.open("a", encoding="utf-8") as file:
            file.write(f"{report.to_json()}\n")
        assert f"ours at most 200.00 ms a record: {slow_s}00.00 ms, {'not ' * (slow_s > 2)}reached" in table(report)

    write_page(figures, page)

    assert (
        "| 200.00 ms, 100.00 ms (limit), 99.00 ms of clock (ours) | no, yes, no: [its parser](performance-log.md) |"
        in page.read_text()
    )
    assert "| 200.00 ms, 100.00 ms (limit), 100.00 ms of clock (ours) | yes, yes, yes |" in page.read_text()


@pytest.mark.parametrize("args", [["nonsense"], ["--page", "x.md"]])
def test_wrong_arguments_are_explained(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Instead of running all benchmarks for minutes."""
    with pytest.raises(SystemExit) as caught:
        program.main(args)

    assert caught.value.code == 2
    assert "--page needs --json" in capsys.readouterr().err or args == ["nonsense"]
