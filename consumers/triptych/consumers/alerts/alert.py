"""The command `triptych alert`: send results that match a rule, in order, until the receivers accept them.

A receiver is a webhook or an MQTT broker.

A message is retried with backoff until it is accepted; the following messages to the same receiver wait. The cursor is
saved after each accepted message. After a crash between the two, the message is sent again with the same id.

Each receiver has its own subscription, thread and cursor, so none waits for another, and nothing queues up in memory.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import ClassVar, Final

import structlog

from triptych.consumers.alerts.event_tracker import EventLimits
from triptych.consumers.alerts.http_post import MAX_RETRY_AFTER_S, Endpoint
from triptych.consumers.alerts.mqtt.options import MqttOptions
from triptych.consumers.alerts.mqtt.receiver import open_mqtt_receiver
from triptych.consumers.alerts.mqtt.sensors import SensorTracker
from triptych.consumers.alerts.receiver import AlertReceiver, Attempt, WebhookReceiver
from triptych.consumers.alerts.state import AlertState
from triptych.consumers.alerts.webhook import WebhookMessage, parse_secrets, webhook_message
from triptych.consumers.rules.rule import Rule
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.consumers.subscription.result_tracer import open_result_tracer
from triptych.consumers.subscription.subscriber import Results, Subscriber
from triptych.consumers.watching.silence import Silence
from triptych.consumers.watching.watch import SourceName, open_source
from triptych.schemas.errors import TriptychError, UsageError
from triptych.schemas.results import Result
from triptych.service.logs import configure_logs
from triptych.service.signals import stop_on_signal
from triptych.settings.tree import Settings

log = structlog.get_logger(__name__)

_MIN_BACKOFF_S: Final = 1.0
_MAX_BACKOFF_S: Final = MAX_RETRY_AFTER_S
_SAVE_INTERVAL_S: Final = 1.0
_ATTEMPTS_IF_PERMANENT: Final = 3
"""After so many permanent refusals a message is given up. One does not suffice: a broker may just be reconfigured."""


class ReceiverGoneError(TriptychError):
    """The receiver wants no more messages (410 Gone)."""

    exit_code: ClassVar[int] = 5


@dataclass(frozen=True, slots=True)
class AlertOptions:
    """What to alert on, and where to send it: to a webhook, whose messages are signed, or to an MQTT broker."""

    where: str
    url: str
    secret_file: Path | None
    cursor_file: Path
    stream: str | None = None
    since: str = "now"
    until_end: bool = False
    timeout_s: float = 15.0
    give_up_after_s: float = 24 * 3_600.0
    min_backoff_s: float = _MIN_BACKOFF_S
    events: EventLimits = field(default_factory=EventLimits)
    mqtt: MqttOptions | None = None


class AlertSender:
    """Sends messages one after the other."""

    def __init__(self, receiver: AlertReceiver, options: AlertOptions, stop: Event) -> None:
        self._receiver = receiver
        self._options = options
        self._stop = stop
        self.delivered = 0
        self.given_up = 0

    def see(self, result: Result, *, matches: bool) -> bool:
        """Show a result to the receiver before its message. Return False if a stop came first."""
        return self._receiver.see(result, matches=matches)

    def rest(self) -> None:
        """Let the receiver do what is due while no result comes."""
        self._receiver.rest()

    def deliver(self, message: WebhookMessage, stream: str) -> bool:
        """Send a message about a stream until it is accepted or given up. Return False if a stop came first.

        It is given up when its time is up, or after a few refusals that are permanent.

        Raises:
            ReceiverGoneError: the receiver wants no more messages.
        """
        deadline_s = time.monotonic() + self._options.give_up_after_s
        backoff_s = self._options.min_backoff_s
        permanent_refusals = 0
        while not self._stop.is_set():
            outcome = self._receiver.send(message, stream)
            if outcome.accepted:
                self.delivered += 1
                log.info("match_delivered", id=message.id)
                return True
            if outcome.gone:
                raise ReceiverGoneError(f"{self._receiver} wants no more messages (410 Gone)")
            permanent_refusals += outcome.permanent
            if time.monotonic() >= deadline_s or permanent_refusals >= _ATTEMPTS_IF_PERMANENT:
                self.given_up += 1
                log.error("match_given_up", id=message.id, reason=outcome.reason, body=message.body.decode())
                return True
            self._wait(message, outcome, backoff_s, left_s=deadline_s - time.monotonic())
            backoff_s = min(backoff_s * 2, _MAX_BACKOFF_S)
        return False

    def _wait(self, message: WebhookMessage, outcome: Attempt, backoff_s: float, *, left_s: float) -> None:
        # With jitter, so that failed senders do not retry all at once.
        delay_s = max(outcome.retry_after_s, backoff_s * random.uniform(0.5, 1))  # noqa: S311 - not a secret
        delay_s = max(0.0, min(delay_s, left_s))  # the last attempt is made when the time is up, not later
        log.warning(
            "match_not_taken",
            id=message.id,
            to=str(self._receiver),
            reason=outcome.reason,
            again_in_s=round(delay_s, 1),
        )
        self._receiver.wait(self._stop, delay_s)


class AlertLoop:
    """Reads a subscription, and sends the results that match the rule, or with which an event begins."""

    def __init__(
        self,
        rule: Rule,
        sender: AlertSender,
        state: AlertState,
        *,
        pipeline: str,
        of_events: bool = False,
    ) -> None:
        self._rule = rule
        self._of_events = of_events
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
                self._sender.rest()
                if not results.fetch():
                    break
            elif not self._handle(delivery):
                return  # stopped before it was accepted: the cursor stays before it
            self._save_if_due(results)
        self._state.save(results.cursor)

    def _handle(self, delivery: Delivery) -> bool:
        """Send what is to be sent about a result. Return False if a stop came first."""
        matches = self._rule.matches(delivery.result)
        if not self._sender.see(delivery.result, matches=matches):
            return False
        since_ns = self._state.events.begins(delivery.result, matches=matches) if self._of_events else None
        if since_ns is None if self._of_events else not matches:
            return True
        self._next_save_s = 0.0
        return self._send(delivery, since_ns)

    def _send(self, delivery: Delivery, event_since_ns: int | None) -> bool:
        message = webhook_message(
            delivery, rule=str(self._rule), pipeline=self._pipeline, event_since_ns=event_since_ns
        )
        if self._state.has_delivered(message.id):
            return True
        if not self._sender.deliver(message, delivery.result.stream):
            return False
        self._state.note(message.id)
        return True

    def _save_if_due(self, results: Results) -> None:
        """Save the cursor after each match, and otherwise at intervals."""
        now_s = time.monotonic()
        if now_s >= self._next_save_s:
            self._state.save(results.cursor)
            self._next_save_s = now_s + _SAVE_INTERVAL_S


def for_each_receiver(
    options: AlertOptions, urls: Sequence[str], broker: MqttOptions | None = None
) -> list[AlertOptions]:
    """Return the options of each receiver. The first one uses the cursor file, the others have one of their own.

    Args:
        options: what all have in common.
        urls: the webhooks.
        broker: an MQTT broker, if there is one.

    Raises:
        UsageError: there is no receiver, or no secret to sign with.
    """
    if not urls and broker is None:
        raise UsageError("expected a receiver: --url URL, --mqtt URL, or both; got none")
    if urls and options.secret_file is None:
        raise UsageError("--secret-file: expected a file with the secret that signs the messages to --url, got none")
    receivers = [replace(options, url=url) for url in dict.fromkeys(urls)]
    if broker is not None:
        receivers.append(replace(options, url=str(broker.address), mqtt=broker))
    file = options.cursor_file
    own_files = [
        file.with_name(f"{file.name}.{hashlib.sha256(other.url.encode()).hexdigest()[:8]}") for other in receivers[1:]
    ]
    return [replace(each, cursor_file=own) for each, own in zip(receivers, (file, *own_files), strict=True)]


def send_alerts(settings: Settings, origin: SourceName, receivers: Sequence[AlertOptions]) -> None:
    """Send matches to each receiver until a signal, or the end of the subscription.

    A receiver that fails ends alone: the error is raised when the others have ended.

    Raises:
        TriptychError: the options, the results or a receiver cannot be used.
    """
    configure_logs(settings.log)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        alerts = [_Alert(settings, options, stack, stop) for options in receivers]
        with ThreadPoolExecutor(len(alerts), thread_name_prefix="alert") as threads:
            running = [threads.submit(alert.run, settings, origin, says_silence=alert is alerts[0]) for alert in alerts]
            for done in as_completed(running):
                if done.exception() is not None and not isinstance(done.exception(), TriptychError):
                    stop.set()  # an error of this program
    for done in running:
        done.result()


class _Alert:
    """The alerts of one receiver."""

    def __init__(self, settings: Settings, options: AlertOptions, stack: ExitStack, stop: Event) -> None:
        """Check the options, and lock the cursor file and open the receiver until `stack` is closed."""
        self._options = options
        self._rule = Rule(options.where)
        self._pipeline = settings.pipeline
        self._sensors = None if options.mqtt is None else SensorTracker(options.mqtt.sensors(options.events))
        self._state = stack.enter_context(AlertState(options.cursor_file, options.events, self._sensors))
        self._receiver = self._open_receiver(settings, stop)
        stack.callback(self._receiver.close)
        self._stop = stop

    def run(self, settings: Settings, origin: SourceName, *, says_silence: bool) -> None:
        """Send matches until a stop, or the end of the subscription. All receivers share a silence: one says it."""
        options, state, to = self._options, self._state, str(self._receiver)
        try:
            source = open_source(settings, origin)
            traced = open_result_tracer(settings.trace, "triptych-alert", pipeline=settings.pipeline, system=origin)
            with traced as tracer, Subscriber(source, tracer=tracer) as subscriber, ExitStack() as stack:
                since = options.since if state.cursor is None else state.cursor
                results = subscriber.results(options.stream, since, until_end=options.until_end)
                sender = AlertSender(self._receiver, options, self._stop)
                log.info("alerting", rule=str(self._rule), to=to, since=str(since))
                if says_silence:
                    silence = Silence(lambda: subscriber.counts.delivered, source, options.stream, settings.pipeline)
                    stack.enter_context(silence.reported(at_end=options.until_end))
                loop = AlertLoop(self._rule, sender, state, pipeline=self._pipeline, of_events=options.events.are_set)
                loop.run(results, self._stop)
                log.info(
                    "alerted",
                    to=to,
                    delivered=sender.delivered,
                    given_up=sender.given_up,
                    results=subscriber.counts.delivered,
                    cursor=str(state.cursor),
                )
        except TriptychError as error:
            log.error("alerts_ended", to=to, error=str(error))  # noqa: TRY400 - the error is raised at the end
            raise

    def _open_receiver(self, settings: Settings, stop: Event) -> AlertReceiver:
        options = self._options
        if options.mqtt is not None and self._sensors is not None:
            return open_mqtt_receiver(
                settings, options.mqtt, self._rule, self._sensors, timeout_s=options.timeout_s, stop=stop
            )
        return WebhookReceiver(Endpoint(options.url, timeout_s=options.timeout_s), _secrets(options.secret_file))


def _secrets(path: Path | None) -> tuple[bytes, ...]:
    if path is None:
        return ()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected a readable file with a secret, got: {error}") from error
    return parse_secrets(text, origin=str(path))
