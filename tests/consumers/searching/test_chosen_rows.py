"""Rankings of the rows of windows that a condition names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.consumers.searching.conftest import DIMENSIONS, SPACE, unit_vector
from triptych.consumers.searching import chosen_rows
from triptych.consumers.searching.index_store import FoundRow, RowConditions
from triptych.consumers.searching.rows import IndexRow
from triptych.consumers.searching.window_index import WindowIndex

CHOSEN = (1, 3, 4, 6, 7)
CONDITIONS = RowConditions(windows=tuple(f"w{number}" for number in CHOSEN))


@pytest.fixture
def index(tmp_path: Path) -> WindowIndex:
    """Ten windows. Each has a word of its own and `car`; the description has no vector."""
    index = WindowIndex.create(tmp_path / "index", "triptych")
    rows = [
        row
        for number in range(10)
        for row in (
            IndexRow(
                f"w{number}",
                "video",
                "r",
                "city",
                number,
                number + 1,
                number,
                f"car own{number}",
                tuple(unit_vector(number).tolist()),
            ),
            IndexRow(f"w{number}", "description", "r", "city", number, number + 1, number, "a long text about a car"),
        )
    ]
    index.write(rows, replace(index.meta, space=SPACE, dimensions=DIMENSIONS))
    return index


def windows(rows: list[FoundRow]) -> list[str]:
    """Return the windows of rows, in their order."""
    return [row["window"] for row in rows]


def test_all_vectors_of_chosen_windows_are_compared(index: WindowIndex) -> None:
    """The rows are in the order of an exact comparison."""
    wanted = unit_vector(99)
    similarities = {f"w{number}": float(unit_vector(number) @ wanted) for number in CHOSEN}
    found = index.rank_by_meaning(wanted, CONDITIONS, 3)
    assert windows(found) == sorted(similarities, key=lambda window: -similarities[window])[:3]
    assert [row["similarity"] for row in found] == pytest.approx(
        [similarities[row["window"]] for row in found], abs=2e-3
    )


def test_vectors_that_are_nearly_as_near_are_in_their_order(index: WindowIndex) -> None:
    """LanceDB itself rounds the vector that is looked for to 16 bits, and cannot tell these two rows apart."""
    wanted = np.zeros(DIMENSIONS, np.float32)
    wanted[:2] = 0.70701, 0.70720
    wanted /= np.linalg.norm(wanted)
    assert np.float16(wanted[0]) == np.float16(wanted[1])
    rows = [
        IndexRow(
            f"w{number}", "audio", "r", "city", number, number + 1, number, vector=tuple(np.eye(DIMENSIONS)[place])
        )
        for number, place in ((3, 0), (4, 1))
    ]
    for written in (rows, rows[::-1]):
        index.write(written, index.meta)
        found = index.rank_by_meaning(wanted, CONDITIONS, 100)
        assert [row["window"] for row in found if row["part"] == "audio"] == ["w4", "w3"]


@pytest.mark.parametrize("matches", [3, 200_000])
def test_words_are_ranked_among_chosen_windows(
    index: WindowIndex, monkeypatch: pytest.MonkeyPatch, matches: int
) -> None:
    """Whether few rows of the index have the words, or too many to look through."""
    monkeypatch.setattr(chosen_rows, "_MAX_MATCHES", matches)
    found = index.rank_by_words("cars own4 own5", CONDITIONS, 100)
    assert windows(found)[0] == "w4"
    assert sorted(windows(found)) == sorted([f"w{number}" for number in CHOSEN] * 2)
    scores = [row["words_score"] for row in found]
    assert scores == sorted(scores, reverse=True)
    assert windows(index.rank_by_words("car own4", CONDITIONS, 100, needs_all=True)) == ["w4"]
    assert index.rank_by_words("car own5", CONDITIONS, 100, needs_all=True) == []


def test_rows_are_read_again_after_a_commit(index: WindowIndex) -> None:
    """Also with the same conditions."""
    assert len(index.newest_rows(CONDITIONS, 10)) == 2 * len(CHOSEN)
    index.write([IndexRow("w3", "audio", "r", "city", 3, 4, 3, "music")], index.meta)
    assert len(index.newest_rows(CONDITIONS, 10)) == 2 * len(CHOSEN) + 1
    assert windows(index.rank_by_words("music", CONDITIONS, 10)) == ["w3"]
