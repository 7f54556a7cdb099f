"""Stream ids made from file names."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from triptych.producers.sources.stream_id import slug_of, stream_ids
from triptych.schemas.names import STREAM_PATTERN

names = st.text(min_size=1, max_size=200)


@given(st.lists(names, max_size=20))
def test_every_name_gets_a_unique_valid_id(files: list[str]) -> None:
    """Whatever the names, and however many are equal."""
    ids = stream_ids(files)

    assert len(set(ids)) == len(files)
    assert all(re.fullmatch(STREAM_PATTERN, stream) for stream in ids)


def test_a_readable_name_stays_readable() -> None:
    """Letters stay, accents are removed, everything else becomes a hyphen."""
    assert slug_of("Été à Paris (1080p).mkv") == "ete-a-paris-1080p"
    assert slug_of("librivox_city_15s.mkv") == "librivox_city_15s"


def test_equal_names_are_numbered() -> None:
    """Even where the numbered name is another file's name."""
    assert stream_ids(["a.mp4", "a.mkv", "a-2.mp4"]) == ("a", "a-2", "a-2-2")


def test_a_name_without_latin_letters_has_the_same_id_each_time() -> None:
    """Two such names have different ids."""
    assert slug_of("電影.mkv") == slug_of("電影.mkv") != slug_of("音樂.mkv")
