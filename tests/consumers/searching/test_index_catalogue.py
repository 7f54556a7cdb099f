"""Windows and streams of an index as items of the recommender."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from lancedb.table import LanceTable

from tests.consumers.conftest import START_NS, WINDOW_NS
from tests.consumers.searching.conftest import DIMENSIONS, SPACE, SearchWorld, unit_vector
from triptych.consumers.recommending import index_catalogue
from triptych.consumers.recommending.index_catalogue import IndexCatalogue
from triptych.consumers.recommending.recommendable import Recommendable
from triptych.consumers.searching.rows import WINDOW_PARTS, IndexRow, Part
from triptych.consumers.searching.window_index import WindowIndex
from triptych.schemas.results import LabelScore, Observations, Words


def row(number: int, part: Part, stream: str, *, like: int | None = None, **details: object) -> IndexRow:
    """Return the row of a part of a window, with the vector of this seed."""
    start_ns = START_NS + number * WINDOW_NS
    window = f"{stream}/{start_ns}-{start_ns + WINDOW_NS}"
    vector = None if like is None else tuple(unit_vector(like).tolist())
    times = (start_ns, start_ns + WINDOW_NS, start_ns)
    return IndexRow(
        window, part, f"{window}/0", stream, *times, text=f"{part} {number}", vector=vector, details=details
    )


def whole_windows(numbers: Iterable[int], stream: str = "city") -> list[IndexRow]:
    """Return the rows of windows with all parts, three of which have the vector whose seed is the number."""
    return [
        row(
            number,
            part,
            stream,
            like=number if part in {"video", "audio", "subtitles"} else None,
            labels=[f"{part}-{number}"],
        )
        for number in numbers
        for part in sorted(WINDOW_PARTS)
    ]


@pytest.fixture
def written(tmp_path: Path) -> WindowIndex:
    """Return an empty index with a space."""
    index = WindowIndex.create(tmp_path / "rows", "triptych")
    index.write([], replace(index.meta, space=SPACE, dimensions=DIMENSIONS))
    return index


def windows_of(rows: Iterable[IndexRow]) -> list[str]:
    """Return the items of windows, each once, in the order of their rows."""
    return list(dict.fromkeys(f"window/{one.window}" for one in rows))


def test_no_part_of_a_window_is_lost(written: WindowIndex) -> None:
    """Each has a row for each of its parts, and those of all windows that are asked for are read."""
    rows = whole_windows(range(7))
    written.write(rows, written.meta)
    catalogue = IndexCatalogue(written)
    for found in (catalogue.find(windows_of(rows)), {one.item: one for one in catalogue.newest("window", 7)}):
        assert set(found) == set(windows_of(rows))
        for number, item in enumerate(windows_of(rows)):
            assert set(found[item].labels) == {f"{part}-{number}" for part in WINDOW_PARTS}
            assert found[item].words == f"subtitles {number}"
            np.testing.assert_allclose(found[item].vector, unit_vector(number), atol=2e-3)
    assert [one.item for one in catalogue.newest("window", 3)] == windows_of(rows)[:3:-1]
    assert len(catalogue.nearest(unit_vector(1), "window", 5)) == 5


@pytest.mark.parametrize("step", [1, -1])
def test_the_newest_rows_of_a_long_stream_stand_for_it(written: WindowIndex, step: int) -> None:
    """In whatever order they were written. Its title, labels, vector and time are no longer those of its beginning."""
    long = [
        row(
            number, "description", "feed-1", like=int(number >= 40), title=f"title {number}", labels=[str(number // 40)]
        )
        for number in range(540)
    ]
    mixed = [one for pair in zip(long, cycle(whole_windows(range(2), "it's")), strict=False) for one in pair]
    for first in range(0, len(mixed), 300):
        written.write(mixed[::step][first : first + 300], written.meta)
    found = IndexCatalogue(written).find(["feed/feed-1", "clip/feed-1", "feed/it's"])
    assert set(found) == {"feed/feed-1", "clip/feed-1", "feed/it's"}
    for kind in ("feed", "clip"):
        item = found[f"{kind}/feed-1"]
        assert (item.kind, item.title, item.time_ns) == (kind, "title 539", START_NS + 539 * WINDOW_NS)
        assert "0" not in item.labels
        assert item.vector is not None
        np.testing.assert_allclose(item.vector, unit_vector(1), atol=2e-3)
    assert set(found["feed/it's"].labels) == {f"{part}-{number}" for part in WINDOW_PARTS for number in range(2)}


def test_of_very_many_streams_the_newest_are_items(written: WindowIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read some at a time."""
    monkeypatch.setattr(index_catalogue, "_MOST_STREAMS", 25)
    written.write([row(30 - number, "video", f"s{number}") for number in range(30)], written.meta)
    found = IndexCatalogue(written).newest("feed", 99)
    assert [one.item for one in found] == [f"feed/s{number}" for number in range(25)]


def test_an_index_without_rows_has_no_items(written: WindowIndex) -> None:
    """Of any kind."""
    catalogue = IndexCatalogue(written)
    assert [catalogue.newest(kind, 5) for kind in ("window", "clip", "feed")] == [[], [], []]
    assert catalogue.find(["feed/city", "window/city/0-1"]) == {}


def test_what_has_not_changed_is_not_read_again(written: WindowIndex, tmp_path: Path) -> None:
    """A change is seen: in windows at once, in streams 10 s after the last look."""
    now_s = 0.0
    written.write(whole_windows(range(5)), written.meta)
    catalogue = IndexCatalogue(WindowIndex.open(tmp_path / "rows"), monotonic_s=lambda: now_s)

    def newest(kind: str, most: int = 3) -> tuple[list[str], int]:
        """Return the newest items, and how many queries of the table they took."""
        with patch.object(LanceTable, "search", autospec=True, side_effect=LanceTable.search) as search:
            found = [one.item.rpartition("/")[2] for one in catalogue.newest(kind, most)]
        return found, search.call_count

    def names(*numbers: int) -> list[str]:
        return [windows_of(whole_windows([number]))[0].rpartition("/")[2] for number in numbers]

    assert newest("window")[0] == names(4, 3, 2)
    assert newest("feed") == (["city"], 1)
    assert (newest("window"), newest("feed")) == ((names(4, 3, 2), 0), (["city"], 0))

    written.write([*whole_windows([5]), *whole_windows([0], "gate")], written.meta)
    assert newest("window") == (names(5, 4, 3), 3)  # the description of the index, what starts late, and its windows
    assert newest("feed") == (["city"], 0)
    now_s = 10.1
    assert newest("feed") == (["city", "gate"], 1)
    now_s = 20.2
    assert newest("feed") == (["city", "gate"], 0)

    written.table.delete(f"start_ns > {START_NS + 2 * WINDOW_NS}")
    assert newest("window")[0][:1] == names(2)
    assert len(newest("window")[0]) == 3
    assert newest("window", 9)[0] == names(2, 1, 0, 0)


def test_windows_and_streams_are_items(indexed: Callable[..., SearchWorld], world: SearchWorld) -> None:
    """With labels, words, language, and the mean of the vectors of their parts."""
    cue = Words(text="the harbour", start_ns=1, end_ns=2)
    observed = Observations(visual=(LabelScore(label="dog", score=0.9),), words=(cue,), language="en")
    first = world.result(0, observations=observed, like=1)
    others = [world.result(number, f"w{number}", like=number, stream="gate") for number in range(1, 4)]
    catalogue = IndexCatalogue.open(indexed(first, *others).folder)
    assert catalogue.space == SPACE
    found = catalogue.find([f"window/{first.window}", "window/city/0-1", "feed/gate", "clip/none"])
    assert set(found) == {f"window/{first.window}", "feed/gate"}
    window = found[f"window/{first.window}"]
    assert (window.labels, window.words, window.language) == (("dog",), "the harbour", "en")
    assert window.title == 'city ("the harbour")'
    assert window.vector is not None
    np.testing.assert_allclose(window.vector, unit_vector(1), atol=2e-3)
    mean = sum(unit_vector(number) for number in range(1, 4))
    np.testing.assert_allclose(found["feed/gate"].vector, mean / np.linalg.norm(mean), atol=2e-3)
    assert [item.item for item in catalogue.newest("window", 2)] == [f"window/{one.window}" for one in others[:0:-1]]
    assert catalogue.nearest(unit_vector(3), "window", 1)[0].item == f"window/{others[2].window}"
    assert {item.item for item in catalogue.nearest(unit_vector(3), "clip", 9)} == {"clip/gate", "clip/city"}
    assert catalogue.nearest(np.zeros(DIMENSIONS + 1, np.float32), "window", 1) == []


def found_by_name(catalogue: IndexCatalogue) -> list[Recommendable]:
    """Return the windows 1 and 2 of an index that was seen before: to find items looks for no newer version."""
    assert catalogue.nearest(np.zeros(1, np.float32), "window", 1) == []
    starts_ns = [START_NS + number * WINDOW_NS for number in (1, 2)]
    return list(catalogue.find([f"window/city/{start}-{start + WINDOW_NS}" for start in starts_ns]).values())


@pytest.mark.parametrize(
    ("read", "items"),
    [
        (found_by_name, 2),
        (lambda catalogue: catalogue.nearest(unit_vector(2), "window", 3), 3),
        (lambda catalogue: catalogue.newest("window", 3), 3),
        (lambda catalogue: catalogue.newest("clip", 3), 1),
    ],
    ids=["named", "nearest", "newest", "streams"],
)
def test_items_are_read_again_if_the_version_of_the_index_is_deleted_meanwhile(
    indexed: Callable[..., SearchWorld],
    world: SearchWorld,
    delete_what_is_seen: Callable[[Callable[[], object]], list[int]],
    read: Callable[[IndexCatalogue], list[Recommendable]],
    items: int,
) -> None:
    """A version may be older than the writer keeps old ones, and still be the newest until the reading has begun."""
    catalogue = IndexCatalogue.open(indexed(*(world.result(number, "bank", like=number) for number in range(4))).folder)
    revisions = [world.result(number, "bridge", like=number, revision=1) for number in range(4)]
    deleted = delete_what_is_seen(lambda: indexed(*revisions))
    found = read(catalogue)
    assert deleted
    assert len(found) == items
    assert all("bridge" in item.words for item in found)
