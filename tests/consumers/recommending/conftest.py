"""A topic of interactions in memory, items with vectors along axes, and a model that was trained on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from triptych.consumers.recommending.interaction_topic import send_interactions
from triptych.consumers.recommending.recommendable import Recommendable
from triptych.schemas.names import interactions_topic
from triptych.schemas.recommending.interactions import Interaction, UserAction
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.protocols import Transport
from triptych.transport.topic_settings import TopicSettings

PIPELINE = "triptych"
SPACE = "test-1"
ANNA, BERT = "a" * 32, "b" * 32
START_NS = 1_767_225_600_000_000_000
AXES = ("trains", "harbours", "cats", "music")


def towards(topic: str, lean: float = 0.0) -> np.ndarray:
    """Return a vector of length 1 along the axis of a topic, that leans to the next one, float32 [4]."""
    vector = np.zeros(len(AXES), np.float32)
    vector[AXES.index(topic)] = 1
    vector[(AXES.index(topic) + 1) % len(AXES)] = lean
    return vector / np.linalg.norm(vector)


class TopicEmbedder:
    """Embeds a text as the axis that it names."""

    name = SPACE

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors, float32 [N, 4]."""
        return np.stack([towards(next(axis for axis in AXES if axis in text)) for text in texts])


def film(topic: str, number: int) -> Recommendable:
    """Return a clip about a topic."""
    return Recommendable(
        f"clip/{topic}-{number}", f"{topic} {number}", (topic, "people"), "en", towards(topic, number / 10), number
    )


FILMS = [film(topic, number) for topic in AXES for number in range(6)]


def did(user: str, action: UserAction, item: str, second: int = 0, **fields: float) -> Interaction:
    """Return an interaction with a clip."""
    return Interaction(
        user=user, kind="clip", item=item, action=action, time_ns=START_NS + second * 1_000_000_000, **fields
    )


@pytest.fixture
def transport() -> Iterator[Transport]:
    """Return a transport with the topic."""
    made = MemoryTransport()
    admin = made.admin()
    admin.create([TopicSettings(interactions_topic(PIPELINE), partitions=1, replication=1, cleanup_policy="compact")])
    yield made
    made.close()


def tell(transport: Transport, *records: Interaction) -> None:
    """Publish interactions."""
    send_interactions(transport, PIPELINE, records)
