"""Producers that compress in different ways, as those of an installation with several teams do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from kafka import KafkaProducer, codec

_IS_AVAILABLE: Final[dict[str, Callable[[], bool]]] = {
    "gzip": codec.has_gzip,
    "lz4": codec.has_lz4,
    "snappy": codec.has_snappy,
    "zstd": codec.has_zstd,
}
COMPRESSIONS: Final[tuple[str | None, ...]] = (
    None,
    *(name for name, is_available in _IS_AVAILABLE.items() if is_available()),
)
"""None, and the codecs whose libraries are installed here."""


@contextmanager
def mixed_compressions() -> Iterator[None]:
    """Give each producer client that is opened meanwhile the next compression."""
    rest = itertools.cycle(COMPRESSIONS)

    def make(**options: Any) -> Any:  # noqa: ANN401 - the client has no types
        return KafkaProducer(compression_type=next(rest), **options)

    with patch("triptych.transport.kafka.producer.KafkaProducer", make):
        yield
