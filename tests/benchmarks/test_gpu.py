"""`python -m benchmarks.gpu`, as far as it runs without a GPU: comparisons on the CPU, table, time limit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.gpu import parts
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.report import Check, PartReport, part_lines, run_parts


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which would be measured")
def test_without_a_gpu_it_says_so_and_ends_cleanly(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was found to be wrong, and nothing was measured."""
    assert main([]) == 0
    assert "Nothing was measured" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("check", "is_met"),
    [
        (Check("x", 1.0, least=1.0), True),
        (Check("x", 0.9, least=1.0), False),
        (Check("x", 2.0, most=1.0), False),
        (Check("x", float("nan"), least=0.0), False),
        (Check("x", float("nan")), False),
    ],
)
def test_a_check_is_met_within_its_limits(check: Check, *, is_met: bool) -> None:
    """NaN never is."""
    assert check.is_met is is_met


def test_a_part_that_fails_does_not_stop_the_others_and_is_wrong() -> None:
    """The table has its error. A part without checks has shown nothing."""

    def failing() -> PartReport:
        raise RuntimeError("an illegal memory access")

    right = PartReport("right", [Check("x", 1.0, least=1.0)], {"on the CPU": 4.0, "on the GPU": 2.0})
    said: list[str] = []
    reports = run_parts(
        {"failing": failing, "right": lambda: right, "empty": lambda: PartReport("empty")}, 10, lambda: 0, said.append
    )

    assert [report.is_right for report in reports] == [False, True, False]
    assert "RuntimeError: an illegal memory access" in said[0]
    assert "2.00 times as fast" in said[1]
    assert part_lines(right).startswith("right")


def test_no_part_is_started_after_the_limit() -> None:
    """The device is lent for ten minutes."""
    times_s = iter([0.0, 5.0, 11.0])
    ran: list[str] = []

    def part() -> PartReport:
        ran.append("x")
        return PartReport("x", [Check("x", 1.0)])

    reports = run_parts({"first": part, "second": part}, 10, lambda: next(times_s), lambda _: None)

    assert len(ran) == 1
    assert "not started" in str(reports[1].failure)


def test_scores_that_differ_are_noticed() -> None:
    """By their direction, and by the best label."""
    expected = np.eye(4, dtype=np.float32)

    assert all(check.is_met for check in parts.agreement(expected, expected * 3))
    assert not any(check.is_met for check in parts.agreement(expected, expected[::-1].copy()))


def test_pictures_that_torchvision_decodes_are_those_of_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison of the part `jpeg`, with torchvision's decoder on the CPU; and it notices another picture."""
    assert parts.jpeg_decoding("cpu").is_right
    imdecode = parts.cv2.imdecode
    monkeypatch.setattr(parts.cv2, "imdecode", lambda *args: 255 - imdecode(*args))
    assert not parts.jpeg_decoding("cpu").is_right


def test_copies_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, a copy is the tensor itself."""
    monkeypatch.setattr(parts, "BATCH", 1)
    report = parts.copies("cpu")
    assert report.is_right
    assert list(report.times_ms) == ["from pageable memory", "from pinned memory"]


def test_pictures_of_the_samples_differ() -> None:
    """Labels of black pictures would agree in any precision."""
    pictures = parts.clip_pictures(6, 32, 32)
    assert len({picture.tobytes() for picture in pictures}) == 6
    assert {picture.shape for picture in pictures} == {(32, 32, 3)}
