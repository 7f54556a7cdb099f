"""What `triptych alert` sends messages to, and the receiver of webhooks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from triptych.consumers.alerts.http_post import Endpoint
from triptych.consumers.alerts.webhook import WebhookMessage
from triptych.schemas.results import Result


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt to send a message.

    Attributes:
        accepted: whether the receiver has the message.
        reason: one line for people.
        retry_after_s: the delay that the receiver requested.
        gone: whether the receiver wants no more messages.
        refused: whether the receiver has said that it does not take this message.
        permanent: whether that is because of the message itself, such as its size: no later attempt is accepted either.
    """

    accepted: bool
    reason: str
    retry_after_s: float = 0.0
    gone: bool = False
    refused: bool = False
    permanent: bool = False


class AlertReceiver(Protocol):
    """Where messages go. `str` names it in logs, without secrets."""

    def see(self, result: Result, *, matches: bool) -> bool:
        """Take a result before its message, if it has one. Blocks; return False if a stop came first."""

    def rest(self) -> None:
        """Do what is due while no result comes. Called several times a second; may block."""

    def send(self, message: WebhookMessage, stream: str) -> Attempt:
        """Try once to send a message about a stream. Blocks up to a time limit."""

    def wait(self, stop: Event, delay_s: float) -> None:
        """Wait before the next attempt, until `stop` is set, or until the receiver is known to be back."""

    def close(self) -> None:
        """Release the connection."""


class WebhookReceiver:
    """A receiver of signed messages over HTTP."""

    def __init__(self, endpoint: Endpoint, secrets: tuple[bytes, ...]) -> None:
        self._endpoint = endpoint
        self._secrets = secrets

    def __str__(self) -> str:
        return str(self._endpoint)

    def see(self, result: Result, *, matches: bool) -> bool:  # noqa: ARG002 - only messages are sent
        """Do nothing."""
        return True

    def rest(self) -> None:
        """Do nothing."""

    def send(self, message: WebhookMessage, stream: str) -> Attempt:  # noqa: ARG002 - the message names it
        """Post the message once, signed."""
        outcome = self._endpoint.post(message.body, message.headers(self._secrets, now_s=int(time.time())))
        return Attempt(outcome.accepted, outcome.reason, outcome.retry_after_s, outcome.gone)

    def wait(self, stop: Event, delay_s: float) -> None:
        """Wait for the delay or the stop."""
        stop.wait(delay_s)

    def close(self) -> None:
        """Do nothing: each message has a connection of its own."""
