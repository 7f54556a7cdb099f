"""Bounded memory of ids."""

from __future__ import annotations

from triptych.consumers.subscription.recent_ids import RecentIds


def test_an_id_is_new_once() -> None:
    """The least recently seen id is forgotten first; a duplicate counts as seen."""
    recent = RecentIds(2)
    assert [recent.add(name) for name in "aba"] == [True, True, False]
    assert recent.add("c")  # b is forgotten: a was seen after it
    assert not recent.add("a")
    assert recent.add("b")
