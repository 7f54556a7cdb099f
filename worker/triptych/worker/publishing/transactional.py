"""Exactly-once delivery: the messages of a batch and the group's offsets in one Kafka transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from triptych.transport.errors import MessageRejectedError, OutcomeUnknownError, RecordTooLargeError
from triptych.transport.protocols import TransactionalPublisher
from triptych.transport.records import GroupOffsets, Message
from triptych.worker.observability.events import StageCompleted
from triptych.worker.observability.hooks import Hooks
from triptych.worker.publishing.messages import MessageBuilder, Truncate
from triptych.worker.publishing.retry import RetryPolicy

_UNCONFIRMED = "the group coordinator has not confirmed that this worker still owns its partitions"


class TransactionalSender:
    """Commits each batch in one transaction, or in one transaction per message if the broker rejects a message."""

    def __init__(
        self,
        publisher: TransactionalPublisher,
        messages: MessageBuilder,
        retry: RetryPolicy,
        hooks: Hooks,
        *,
        is_confirmed: Callable[[], bool],
    ) -> None:
        """Send through `publisher`, which the caller closes.

        Args:
            publisher: runs the transactions.
            messages: truncates messages that are too large.
            retry: repeats a transaction while the brokers are unavailable.
            hooks: receive the time that each batch takes.
            is_confirmed: whether the group confirms that this worker still owns its partitions.
        """
        self._publisher = publisher
        self._messages = messages
        self._retry = retry
        self._hooks = hooks
        self._is_confirmed = is_confirmed

    @property
    def offsets_needed(self) -> bool:
        """True: each transaction stores the group's offsets."""
        return True

    def send(
        self,
        dead_letters: Sequence[Message],
        results: Sequence[Message],
        *,
        offsets: GroupOffsets | None,
        on_dead_letters_sent: Callable[[], None],
    ) -> Sequence[Message]:
        """Commit dead letters and results; see `BatchSender.send`.

        If the broker rejects a message, which one is not always known: then each message gets its own transaction.
        """
        sent = list(results)
        if dead_letters or results:
            started_ns = time.monotonic_ns()
            try:
                self._commit([*dead_letters, *results], offsets)
            except MessageRejectedError:
                for letter in dead_letters:
                    self._commit_one(letter, self._messages.truncate_dead_letter, offsets)
                sent = [self._commit_one(result, self._messages.truncate_result, offsets) for result in results]
            self._hooks.emit(StageCompleted(stage="publish", took_ms=(time.monotonic_ns() - started_ns) / 1e6))
        on_dead_letters_sent()
        return sent

    def _commit_one(self, message: Message, truncate: Truncate, offsets: GroupOffsets | None) -> Message:
        """Commit one message, truncated if it is too large. Return it as sent."""
        before: list[Message] = []
        while True:
            try:
                self._commit([*before, message], offsets)
            except RecordTooLargeError as error:
                *before, message = truncate(message, error)
            else:
                return message

    def _commit(self, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        """Commit one transaction. If its outcome is unknown, block until the broker has settled it, then raise."""

        def attempt() -> None:
            # Each attempt checks again: a retry may start long after the first attempt.
            self._retry.wait_until(self._is_confirmed, otherwise=_UNCONFIRMED)
            self._publisher.publish(messages, offsets)

        try:
            self._retry.run("kafka", attempt)
        except OutcomeUnknownError:
            self._retry.run("kafka", self._publisher.recover)
            raise
