"""The interface between the publisher and a delivery mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from triptych.transport.records import GroupOffsets, Message


class BatchSender(Protocol):
    """Sends the messages of one batch to Kafka. The publishing thread alone calls it."""

    @property
    def offsets_needed(self) -> bool:
        """Whether `send` stores the group's offsets together with the messages."""

    def send(
        self,
        dead_letters: Sequence[Message],
        results: Sequence[Message],
        *,
        offsets: GroupOffsets | None,
        on_dead_letters_sent: Callable[[], None],
    ) -> Sequence[Message]:
        """Send dead letters, then results. Block until the brokers have acknowledged or committed all of them.

        Args:
            dead_letters: messages for the dead-letter topic.
            results: messages for the results topic, in order.
            offsets: the group's offsets to store with the messages; ignored unless `offsets_needed`.
            on_dead_letters_sent: called once, when all dead letters are on their topic.

        Returns:
            The result messages as sent, one for each of `results`: a message over the size limit is sent truncated.

        Raises:
            GaveUpError: the worker stopped waiting for the brokers.
            StopError: the brokers accept nothing until somebody intervenes.
            CommitRefusedError: another member owns the partitions now. Transactions only.
            OutcomeUnknownError: the messages may or may not be committed. By now that is settled. Transactions only.
        """
