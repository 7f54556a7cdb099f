"""Windows and streams of an index as items of the recommender."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.consumers.searching.conftest import DIMENSIONS, SPACE, SearchWorld, unit_vector
from triptych.consumers.recommending.index_catalogue import IndexCatalogue
from triptych.schemas.results import LabelScore, Observations, Words


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
