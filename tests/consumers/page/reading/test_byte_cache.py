"""A cache that is bounded by bytes."""

from __future__ import annotations

from triptych.consumers.page.reading.byte_cache import ByteCache


def test_what_was_used_longest_ago_is_forgotten() -> None:
    """The bytes never exceed the limit."""
    cache = ByteCache[str](100)
    for name in "abcd":
        cache.put(name, name, 25)
    assert cache.get("a") == "a"
    cache.put("e", "e", 25)
    assert [cache.get(name) for name in "abcde"] == ["a", None, "c", "d", "e"]
    assert (cache.size_bytes, cache.hits, cache.misses) == (100, 5, 1)


def test_a_value_replaces_that_of_its_key() -> None:
    """Its bytes count once."""
    cache = ByteCache[str](100)
    cache.put("a", "old", 20)
    cache.put("a", "new", 10)
    assert (cache.get("a"), cache.size_bytes) == ("new", 10)


def test_a_large_value_does_not_clear_the_rest() -> None:
    """It is not held."""
    cache = ByteCache[str](100)
    cache.put("a", "a", 10)
    cache.put("large", "large", 26)
    assert (cache.get("large"), cache.get("a")) == (None, "a")
