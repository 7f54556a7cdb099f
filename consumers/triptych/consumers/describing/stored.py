"""The descriptions that are published: what exists, what it cost, and what was described last of each stream.

All partitions of the topic are read, from the beginning: the day's spending is that of the whole pipeline, and a replay
of any time finds the answers that are stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import structlog

from triptych.consumers.describing.budget import SpendingLedger
from triptych.consumers.describing.gate import DescribedWindows
from triptych.consumers.subscription.log_reading import partitions_of
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import descriptions_topic
from triptych.schemas.perception.description_codec import decode_description
from triptych.schemas.perception.descriptions import Description
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Record

log = structlog.get_logger(__name__)

_DIGEST_BYTES: Final = 12
_POLL_TIMEOUT_S: Final = 0.2
_MAX_SILENCE_S: Final = 30.0


class StoredDescriptions:
    """Follows the descriptions topic. Belongs to one thread."""

    def __init__(self, transport: Transport, *, pipeline: str, prompt_hash: str, ledger: SpendingLedger) -> None:
        """Open a reader at the beginning of the topic.

        Raises:
            TopicMissingError: the topic does not exist.
        """
        self._tps = partitions_of(transport, descriptions_topic(pipeline))
        self._reader: Reader = transport.reader(dict.fromkeys(self._tps, 0))
        self._prompt_hash = prompt_hash
        self._ledger = ledger
        self._counted: set[bytes] = set()
        self.described = DescribedWindows()
        """The windows that were described with this prompt hash."""

    def catch_up(self) -> None:
        """Read everything that was published before this call. Blocks.

        Raises:
            BrokerUnavailableError: no record came for 30 s.
        """
        ends = self._reader.end_offsets(self._tps)
        deadline_s = time.monotonic() + _MAX_SILENCE_S
        while any(self._reader.position(tp) < end for tp, end in ends.items()):
            if self._take(self._reader.poll(_POLL_TIMEOUT_S).records):
                deadline_s = time.monotonic() + _MAX_SILENCE_S
            elif time.monotonic() >= deadline_s:
                raise BrokerUnavailableError(f"{self._tps[0].topic}: no record came for {_MAX_SILENCE_S:g} s")

    def follow(self) -> None:
        """Read what is available, without blocking: what other programs of the pipeline have published."""
        self._take(self._reader.poll(0.0).records)

    def add(self, description: Description) -> None:
        """Add a description that was published. Adding it twice changes nothing."""
        published = f"{description.id} {description.published_ns}".encode()
        published = blake2b(published, digest_size=_DIGEST_BYTES).digest()
        if published in self._counted:
            return
        self._counted.add(published)
        self._ledger.add(description)
        if description.prompt_hash == self._prompt_hash:
            self.described.add(description)

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()

    def _take(self, records: Iterable[Record]) -> bool:
        found = False
        for record in records:
            found = True
            try:
                self.add(decode_description(record.key, record.value, record.headers))
            except MalformedRecordError as error:
                log.warning(
                    "description_malformed", partition=record.partition, offset=record.offset, reason=str(error)
                )
        return found
