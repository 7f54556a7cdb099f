"""The memory of ids."""

from __future__ import annotations

from triptych.consumers.subscription.recent_ids import RecentIds


def test_an_id_is_new_once_while_it_is_remembered() -> None:
    """The oldest is forgotten first, and a repeat counts as seen lately."""
    recent = RecentIds(2)
    assert [recent.add(name) for name in "aba"] == [True, True, False]
    assert recent.add("c")  # b is forgotten: a was repeated after it
    assert not recent.add("a")
    assert recent.add("b")
