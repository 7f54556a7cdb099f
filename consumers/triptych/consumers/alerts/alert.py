"""The command `triptych alert`: post results that match a rule, in order, until the receiver accepts them.

A message is retried with backoff until it is accepted; the following messages wait. The cursor is saved after each
accepted message. After a crash between the two, the message is sent again with the same id.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import ClassVar, Final

import structlog

from triptych.consumers.alerts.http_post import Endpoint, PostOutcome
from triptych.consumers.alerts.state import AlertState
from triptych.consumers.alerts.webhook import WebhookMessage, parse_secrets, webhook_message
from triptych.consumers.rules.rule import Rule
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.consumers.subscription.subscriber import Results, Subscriber
from triptych.consumers.watching.watch import SourceName, open_source
from triptych.schemas.errors import TriptychError, UsageError
from triptych.service.logs import configure_logs
from triptych.service.signals import stop_on_signal
from triptych.settings.tree import Settings

log = structlog.get_logger(__name__)

_MIN_BACKOFF_S: Final = 1.0
_MAX_BACKOFF_S: Final = 300.0
_SAVE_INTERVAL_S: Final = 1.0


class ReceiverGoneError(TriptychError):
    """The receiver wants no more messages (410 Gone)."""

    exit_code: ClassVar[int] = 5


@dataclass(frozen=True, slots=True)
class AlertOptions:
    """What to alert on, and where to send it."""

    where: str
    url: str
    secret_file: Path
    cursor_file: Path
    stream: str | None = None
    since: str = "now"
    until_end: bool = False
    timeout_s: float = 15.0
    give_up_after_s: float = 24 * 3_600.0
    min_backoff_s: float = _MIN_BACKOFF_S


class AlertSender:
    """Sends messages one after the other."""

    def __init__(self, endpoint: Endpoint, secrets: tuple[bytes, ...], options: AlertOptions, stop: Event) -> None:
        self._endpoint = endpoint
        self._secrets = secrets
        self._options = options
        self._stop = stop
        self.delivered = 0
        self.given_up = 0

    def deliver(self, message: WebhookMessage) -> bool:
        """Send a message until it is accepted or its time is up. Return False if a stop came first.

        Raises:
            ReceiverGoneError: the receiver wants no more messages.
        """
        deadline_s = time.monotonic() + self._options.give_up_after_s
        backoff_s = self._options.min_backoff_s
        while not self._stop.is_set():
            outcome = self._endpoint.post(message.body, message.headers(self._secrets, now_s=int(time.time())))
            if outcome.accepted:
                self.delivered += 1
                log.info("match_delivered", id=message.id)
                return True
            if outcome.gone:
                raise ReceiverGoneError(f"{self._endpoint} wants no more messages (410 Gone)")
            if time.monotonic() >= deadline_s:
                self.given_up += 1
                log.error("match_given_up", id=message.id, reason=outcome.reason, body=message.body.decode())
                return True
            self._wait(message, outcome, backoff_s)
            backoff_s = min(backoff_s * 2, _MAX_BACKOFF_S)
        return False

    def _wait(self, message: WebhookMessage, outcome: PostOutcome, backoff_s: float) -> None:
        # With jitter, so that failed senders do not retry all at once.
        delay_s = max(outcome.retry_after_s, backoff_s * random.uniform(0.5, 1))  # noqa: S311 - not a secret
        log.warning("match_not_taken", id=message.id, reason=outcome.reason, again_in_s=round(delay_s, 1))
        self._stop.wait(delay_s)


class AlertLoop:
    """Reads a subscription, and sends the results that match the rule."""

    def __init__(self, rule: Rule, sender: AlertSender, state: AlertState, *, pipeline: str) -> None:
        self._rule = rule
        self._sender = sender
        self._state = state
        self._pipeline = pipeline
        self._next_save_s = 0.0

    def run(self, results: Results, stop: Event) -> None:
        """Run until a stop, or the end of the subscription. The cursor of handled results is saved continuously."""
        self._state.save(results.cursor)
        while not stop.is_set():
            delivery = results.take()
            if delivery is None:
                if not results.fetch():
                    break
            elif self._rule.matches(delivery.result):
                if not self._handle_match(delivery):
                    return  # stopped before it was accepted: the cursor stays before it
                self._next_save_s = 0.0
            self._save_if_due(results)
        self._state.save(results.cursor)

    def _handle_match(self, delivery: Delivery) -> bool:
        message = webhook_message(delivery, rule=str(self._rule), pipeline=self._pipeline)
        if self._state.has_delivered(message.id):
            return True
        if not self._sender.deliver(message):
            return False
        self._state.note(message.id)
        return True

    def _save_if_due(self, results: Results) -> None:
        """Save the cursor after each match, and otherwise at intervals."""
        now_s = time.monotonic()
        if now_s >= self._next_save_s:
            self._state.save(results.cursor)
            self._next_save_s = now_s + _SAVE_INTERVAL_S


def send_alerts(settings: Settings, origin: SourceName, options: AlertOptions) -> None:
    """Send matches until a signal, or the end of the subscription.

    Raises:
        TriptychError: the options, the results or the receiver cannot be used.
    """
    configure_logs(settings.log)
    rule = Rule(options.where)
    endpoint = Endpoint(options.url, timeout_s=options.timeout_s)
    secrets = _secrets(options.secret_file)
    with (
        AlertState(options.cursor_file) as state,
        Subscriber(open_source(settings, origin)) as subscriber,
        stop_on_signal() as stop,
    ):
        since = options.since if state.cursor is None else state.cursor
        results = subscriber.results(options.stream, since, until_end=options.until_end)
        sender = AlertSender(endpoint, secrets, options, stop)
        log.info("alerting", rule=str(rule), to=str(endpoint), since=str(since))
        AlertLoop(rule, sender, state, pipeline=settings.pipeline).run(results, stop)
        log.info(
            "alerted",
            delivered=sender.delivered,
            given_up=sender.given_up,
            results=subscriber.counts.delivered,
            cursor=str(state.cursor),
        )


def _secrets(path: Path) -> tuple[bytes, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a readable file with a secret, got: {error}") from error
    return parse_secrets(text, origin=str(path))
