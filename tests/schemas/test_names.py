"""The names that all programs agree on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.schemas import names
from triptych.schemas.errors import UsageError


@pytest.mark.parametrize("name", ["triptych", "a", "9", "night.2_b-C", "x" * 128])
def test_valid_pipeline_names(name: str) -> None:
    """Their topic names fit Kafka's 249 characters."""
    assert names.checked_pipeline(name) == name
    assert len(names.results_topic(name)) <= 249


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "_x", "a b", "a/b", "a:b", "{a}", "ä", "x" * 129, "a\n"])
def test_invalid_pipeline_names(name: str) -> None:
    """A name that is not valid in topics or Redis keys is rejected with the rule and the value."""
    with pytest.raises(UsageError, match=r"pipeline name: expected 1 to 128 .* got ") as caught:
        names.checked_pipeline(name)
    assert repr(name) in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["city", ".", "-", "_9", "x" * 128])
def test_valid_stream_ids(name: str) -> None:
    """Stream ids are keys, not topics: they may start with a dot."""
    assert names.checked_stream(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "{city}", "a}b", "é", "x" * 129, "city\n"])
def test_invalid_stream_ids(name: str) -> None:
    """Braces would move the hash tag of Redis Cluster; a slash would make result ids ambiguous."""
    with pytest.raises(UsageError, match=r"stream id: expected 1 to 128 .* got "):
        names.checked_stream(name)


@given(stream=st.from_regex(names.STREAM_PATTERN, fullmatch=True))
def test_the_keys_of_a_stream_share_a_slot_of_redis_cluster(stream: str) -> None:
    """The hash tag (first `{` to the next `}`) of each key that one script accesses is the stream."""
    makers = (names.redis_results_key, names.redis_index_key, names.redis_latest_key, names.redis_marks_key)
    keys = [make("night", stream) for make in makers]
    assert {re.search(r"\{(.*?)\}", key).group(1) for key in keys} == {stream}  # type: ignore[union-attr]
    assert len({*keys, names.redis_streams_key("night")}) == 5


def test_the_names_of_the_default_pipeline_are_as_documented() -> None:
    """In `docs/contract.md`, for foreign programs."""
    assert names.INPUT_TOPICS == ("triptych.video", "triptych.audio", "triptych.subtitles")
    assert names.results_topic(names.DEFAULT_PIPELINE) == "triptych.results"
    assert names.dead_topic(names.DEFAULT_PIPELINE) == "triptych.dead"
    assert names.consumer_group(names.DEFAULT_PIPELINE) == "triptych"
    assert names.redis_results_key("triptych", "city") == "triptych:results:{city}"
    assert names.redis_index_key("triptych", "city") == "triptych:index:{city}"
    assert names.redis_latest_key("triptych", "city") == "triptych:latest:{city}"
    assert names.redis_marks_key("triptych", "city") == "triptych:marks:{city}"
    assert names.redis_streams_key("triptych") == "triptych:streams"
    assert names.result_id("city", 0, 2, 1) == "city/0-2/1"


@pytest.mark.parametrize("pipeline", ["triptych", "video", "triptych.video"])
def test_no_pipeline_writes_on_an_input_topic(pipeline: str) -> None:
    """Whatever its name, its own topics are not the three inputs."""
    assert not {names.results_topic(pipeline), names.dead_topic(pipeline)} & set(names.INPUT_TOPICS)
