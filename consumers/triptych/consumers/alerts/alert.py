"""What `triptych alert` does: results that fulfil a rule are posted, in order, until the receiver has them.

A message is tried again until it is taken, with growing pauses; meanwhile the following ones wait. The cursor is kept
behind each message that was taken. After a crash between the two it is sent once more, under the same id.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import ClassVar, Final

import structlog

from triptych.consumers.alerts.http_post import Answer, Endpoint
from triptych.consumers.alerts.state import AlertState
from triptych.consumers.alerts.webhook import WebhookMessage, parse_secrets, webhook_message
from triptych.consumers.rules.rule import Rule
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.consumers.subscription.subscriber import Results, Subscriber
from triptych.consumers.watching.watch import Origin, open_source
from triptych.schemas.errors import TriptychError, UsageError
from triptych.service.logs import configure_logs
from triptych.service.signals import stop_on_signal
from triptych.settings.tree import Settings

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 300.0
_SAVE_EVERY_S: Final = 1.0


class UnwantedError(TriptychError):
    """Say that the receiver wants no more messages (410 Gone)."""

    exit_code: ClassVar[int] = 5


@dataclass(frozen=True, slots=True)
class Alerting:
    """What to alert to, and where."""

    where: str
    url: str
    secret_file: Path
    cursor_file: Path
    stream: str | None = None
    since: str = "now"
    until_end: bool = False
    timeout_s: float = 15.0
    give_up_after_s: float = 24 * 3_600.0
    first_pause_s: float = _FIRST_PAUSE_S


class Courier:
    """Deliver messages one after the other."""

    def __init__(self, endpoint: Endpoint, secrets: tuple[bytes, ...], options: Alerting, stop: Event) -> None:
        self._endpoint = endpoint
        self._secrets = secrets
        self._options = options
        self._stop = stop
        self.delivered = 0
        self.given_up = 0

    def deliver(self, message: WebhookMessage) -> bool:
        """Try until the receiver has it or its time is over; False where a stop came first.

        Raises `UnwantedError` where the receiver wants no more.
        """
        until_s = time.monotonic() + self._options.give_up_after_s
        pause_s = self._options.first_pause_s
        while not self._stop.is_set():
            answer = self._endpoint.post(message.body, message.headers(self._secrets, now_s=int(time.time())))
            if answer.taken:
                self.delivered += 1
                log.info("match_delivered", id=message.id)
                return True
            if answer.unwanted:
                raise UnwantedError(f"{self._endpoint} wants no more messages (410 Gone)")
            if time.monotonic() >= until_s:
                self.given_up += 1
                log.error("match_given_up", id=message.id, reason=answer.reason, body=message.body.decode())
                return True
            self._wait(message, answer, pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        return False

    def _wait(self, message: WebhookMessage, answer: Answer, pause_s: float) -> None:
        # With jitter, or all that failed together come back together.
        length_s = max(answer.retry_after_s, pause_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
        log.warning("match_not_taken", id=message.id, reason=answer.reason, again_in_s=round(length_s, 1))
        self._stop.wait(length_s)


class Alerts:
    """Follow a subscription, and deliver what fulfils the rule."""

    def __init__(self, rule: Rule, courier: Courier, state: AlertState, *, pipeline: str) -> None:
        self._rule = rule
        self._courier = courier
        self._state = state
        self._pipeline = pipeline
        self._save_at_s = 0.0

    def follow(self, results: Results, stop: Event) -> None:
        """Go on until a signal, or the end that was asked for; what has been dealt with is kept all along."""
        self._state.save(results.cursor)
        while not stop.is_set():
            delivery = results.take()
            if delivery is None:
                if not results.fetch():
                    break
            elif self._rule.matches(delivery.result):
                if not self._dealt_with(delivery):
                    return  # stopped before it was taken: the cursor stays in front of it
                self._save_at_s = 0.0
            self._save_now_and_then(results)
        self._state.save(results.cursor)

    def _dealt_with(self, delivery: Delivery) -> bool:
        message = webhook_message(delivery, rule=str(self._rule), pipeline=self._pipeline)
        if self._state.has_delivered(message.id):
            return True
        if not self._courier.deliver(message):
            return False
        self._state.note(message.id)
        return True

    def _save_now_and_then(self, results: Results) -> None:
        """Keep the cursor behind each match, and else as often as is worth a write."""
        now_s = time.monotonic()
        if now_s >= self._save_at_s:
            self._state.save(results.cursor)
            self._save_at_s = now_s + _SAVE_EVERY_S


def send_alerts(settings: Settings, origin: Origin, options: Alerting) -> None:
    """Deliver matches until a signal or the end that was asked for; raise `TriptychError` where that cannot be."""
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
        courier = Courier(endpoint, secrets, options, stop)
        log.info("alerting", rule=str(rule), to=str(endpoint), since=str(since))
        Alerts(rule, courier, state, pipeline=settings.pipeline).follow(results, stop)
        log.info(
            "alerted",
            delivered=courier.delivered,
            given_up=courier.given_up,
            results=subscriber.counts.delivered,
            cursor=str(state.cursor),
        )


def _secrets(path: Path) -> tuple[bytes, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a readable file with a secret, got: {error}") from error
    return parse_secrets(text, origin=str(path))
