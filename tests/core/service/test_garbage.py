"""Objects of the start are not visited by garbage collections."""

from __future__ import annotations

import gc
import weakref

from triptych.service.garbage import collect_frozen_objects, collect_rarely_until_frozen, present_objects_frozen


class Cycle:
    """An object that refers to itself, so that only a garbage collection frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_objects_that_exist_at_the_start_are_frozen_until_the_end() -> None:
    """They stay, also when nothing refers to them any more. Later ones are freed."""
    cycle = Cycle()
    early = weakref.ref(cycle)
    with present_objects_frozen():
        del cycle
        late = weakref.ref(Cycle())
        gc.collect()
        assert late() is None
        assert early() is not None
        assert gc.get_freeze_count() > 0
    gc.collect()
    assert early() is None


def test_the_garbage_of_the_start_is_freed_before_the_others_are_frozen() -> None:
    """It would stay in memory for as long as the program runs."""
    gc.disable()  # no automatic collection frees it earlier
    try:
        garbage = weakref.ref(Cycle())
        assert garbage() is not None
        with present_objects_frozen():
            assert garbage() is None
    finally:
        gc.enable()


def test_garbage_is_collected_rarely_until_objects_are_frozen() -> None:
    """A start makes hundreds of thousands of objects that stay; later ones are collected as usual."""
    usual = gc.get_threshold()
    try:
        collect_rarely_until_frozen()
        assert gc.get_threshold()[0] > 10 * usual[0]
        with present_objects_frozen():
            assert gc.get_threshold() == usual
    finally:
        gc.set_threshold(*usual)


def test_unreachable_objects_are_freed_on_demand() -> None:
    """A model that was replaced does not stay in memory."""
    model = Cycle()
    replaced = weakref.ref(model)
    with present_objects_frozen():
        del model
        collect_frozen_objects()
        assert replaced() is None
        assert gc.get_freeze_count() > 0


def test_nothing_is_frozen_by_a_collection_alone() -> None:
    """Outside of a block, nothing is frozen afterwards."""
    collect_frozen_objects()
    assert gc.get_freeze_count() == 0
