"""The spaces of the prompts of a worker, as its settings choose them."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from structlog.testing import capture_logs

from tests.worker.matching.prompt_texts import S, WordSpace, change
from triptych.models.spaces.text_space import TextSpace
from triptych.schemas.errors import UsageError
from triptych.schemas.names import prompts_topic
from triptych.schemas.perception.prompt_codec import encode_prompt_change
from triptych.settings.loading import load
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings
from triptych.worker.matching import open_prompts
from triptych.worker.matching.prompt_timeline import EmbeddedPrompt

FAR_NS = 10**18 * 9


def prompt_without(
    missing: str | None, monkeypatch: pytest.MonkeyPatch, **overrides: object
) -> tuple[EmbeddedPrompt, list[str]]:
    """Return a prompt of a worker that lacks the weights of one space, and the spaces that the log calls missing."""

    def build(_model: str, foundation: str = "", _device: str = "cpu") -> TextSpace:
        if foundation == missing:
            raise UsageError(f"the weights of {foundation or 'the model'} are not on this machine")
        return WordSpace(foundation or "semantic-1")

    monkeypatch.setattr(open_prompts, "build_text_space", build)
    topic = prompts_topic("triptych")
    transport = MemoryTransport()
    transport.admin().create([TopicSettings(topic, 1, cleanup_policy="compact")])
    wire = encode_prompt_change(change("dogs", "dog", at_s=1).change, pipeline="triptych", moment_ns=S)
    publisher = transport.publisher()
    publisher.send(Message(topic, wire.key, wire.value, wire.headers)).result(timeout=5)
    publisher.close(5)
    spaces = {"model.picture_space": "hf:a/pictures", "model.sound_space": "hf:a/sounds"}
    settings = load(overrides=spaces | overrides, environ={})
    with capture_logs() as logs, ExitStack() as stack:
        monkeypatch.setattr(open_prompts.PromptReader, "start", lambda _: None)  # the test reads
        reader = open_prompts.open_prompts(settings, transport, stack, labels=("dog", "car"))
        assert reader.read_once()
        (prompt,) = reader.in_effect("city", FAR_NS).prompts
    transport.close()
    return prompt, [entry["compared_with"] for entry in logs if entry["event"] == "text_space_missing"]


@pytest.mark.parametrize(
    ("missing", "left", "logged"),
    [
        (None, ("hf:a/pictures", "hf:a/sounds", {"dog"}), []),
        ("hf:a/pictures", (None, "hf:a/sounds", {"dog"}), ["windows"]),
        ("hf:a/sounds", ("hf:a/pictures", None, {"dog"}), ["sounds"]),
        ("", ("hf:a/pictures", "hf:a/sounds", set[str]()), ["labels"]),
    ],
)
def test_a_space_that_is_missing_leaves_the_others(
    missing: str | None,
    left: tuple[str | None, str | None, set[str]],
    logged: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the log says which it is."""
    prompt, missing_spaces = prompt_without(missing, monkeypatch)
    windows, sounds = (each and each.space for each in (prompt.direction, prompt.sound_direction))
    assert (windows, sounds, prompt.labels) == left
    assert missing_spaces == logged


def test_without_a_foundation_model_labels_share_the_space_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its absence is logged once."""
    prompt, missing_spaces = prompt_without("", monkeypatch, **{"model.picture_space": ""})
    assert (prompt.direction, prompt.labels) == (None, set())
    assert prompt.sound_direction is not None
    assert missing_spaces == ["windows"]
