"""At-least-once delivery: acknowledged messages, without transactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

from triptych.transport.errors import MessageRejectedError, RecordTooLargeError, RetriableError
from triptych.transport.protocols import Publisher
from triptych.transport.records import Delivered, GroupOffsets, Message
from triptych.worker.observability.events import StageCompleted
from triptych.worker.observability.hooks import Hooks
from triptych.worker.publishing.messages import MessageBuilder, Truncate
from triptych.worker.publishing.retry import RetryPolicy

_FLUSH_S: Final = 5.0


class AtLeastOnceSender:
    """Sends dead letters, waits for their acknowledgement, then does the same with results."""

    def __init__(self, publisher: Publisher, messages: MessageBuilder, retry: RetryPolicy, hooks: Hooks) -> None:
        """Send through `publisher`, which the caller closes."""
        self._publisher = publisher
        self._messages = messages
        self._retry = retry
        self._hooks = hooks

    @property
    def offsets_needed(self) -> bool:
        """False: the consumer commits the offsets after publication."""
        return False

    def send(
        self,
        dead_letters: Sequence[Message],
        results: Sequence[Message],
        *,
        offsets: GroupOffsets | None,
        on_dead_letters_sent: Callable[[], None],
    ) -> Sequence[Message]:
        """Send dead letters, then results; see `BatchSender.send`."""
        del offsets
        self._send_all(list(dead_letters), self._messages.truncate_dead_letter)
        on_dead_letters_sent()
        sent = list(results)
        self._send_all(sent, self._messages.truncate_result)
        return sent

    def _send_all(self, messages: list[Message], truncate: Truncate) -> None:
        """Send messages in order and block until all are acknowledged. Replace truncated messages in the list."""
        if not messages:
            return
        started_ns = time.monotonic_ns()
        futures = [self._send(messages, index, truncate) for index in range(len(messages))]
        self._flush()
        resent_keys: set[bytes] = set()
        for index, future in enumerate(futures):
            if messages[index].key in resent_keys or isinstance(future.exception(timeout=0), MessageRejectedError):
                # Later messages of the same stream are sent again too: the last one on the topic must be the newest.
                resent_keys.add(messages[index].key)
                self._send_until_accepted(messages, index, truncate)
            else:
                future.result(timeout=0)
        self._hooks.emit(StageCompleted(stage="publish", took_ms=(time.monotonic_ns() - started_ns) / 1e6))

    def _send(self, messages: list[Message], index: int, truncate: Truncate) -> Future[Delivered]:
        while True:
            try:
                return self._retry.run("kafka", lambda: self._publisher.send(messages[index]))
            except RecordTooLargeError as error:
                self._replace(messages, index, truncate, error)

    def _send_until_accepted(self, messages: list[Message], index: int, truncate: Truncate) -> None:
        """Send one message until the broker accepts it. Truncate it if it is too large."""

        def attempt() -> None:
            future = self._send(messages, index, truncate)
            self._flush()
            try:
                future.result(timeout=0)
            except RecordTooLargeError as error:  # the broker's limit is lower than the client's
                self._replace(messages, index, truncate, error)
                attempt()
            except MessageRejectedError as error:
                raise RetriableError(str(error)) from error  # accepted once somebody changes the broker's configuration

        self._retry.run("kafka", attempt)

    def _replace(self, messages: list[Message], index: int, truncate: Truncate, error: RecordTooLargeError) -> None:
        """Replace a message by a smaller one. Send the messages that must precede it."""
        *before, messages[index] = truncate(messages[index], error)
        for message in before:
            self._retry.run("kafka", lambda message=message: self._publisher.send(message))  # type: ignore[misc]

    def _flush(self) -> None:
        self._retry.run("kafka", lambda: self._publisher.flush(_FLUSH_S))
