"""Run `triptych describe` as its options say: over Kafka, with an endpoint over HTTP, health checks and metrics."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from triptych.consumers.describing.budget import DailyBudget, SpendingLedger, TokenPrices
from triptych.consumers.describing.chat.asking import AskingLimits, EndpointAbilities, WindowAsker, request_body
from triptych.consumers.describing.chat.endpoint import ChatEndpoint, ChatReply, ReplyKind, RequestStoppedError
from triptych.consumers.describing.chat.media import MediaLimits, window_media
from triptych.consumers.describing.chat.question import Inquiry
from triptych.consumers.describing.describe import DescribeLimits, DescribeLoop, DescribeParts, StartOffsets
from triptych.consumers.describing.gate import DescribeGate, GateConditions, PromptFloor
from triptych.consumers.describing.likeness import LikenessLimits
from triptych.consumers.describing.metrics import DescribeMetrics
from triptych.consumers.describing.options import ConditionOptions, DescribeOptions
from triptych.consumers.describing.stored import StoredDescriptions
from triptych.consumers.evidence.evidence import find_evidence
from triptych.consumers.rules.rule import Rule
from triptych.consumers.subscription.since import since_ns
from triptych.consumers.subscription.subscriber import Subscriber
from triptych.schemas.errors import UsageError
from triptych.schemas.names import checked_stream, dead_topic, describer_group, descriptions_topic, results_topic
from triptych.service.health import Health
from triptych.service.signals import stop_on_signal
from triptych.service.status import StatusServer
from triptych.settings.tree import Settings
from triptych.transport.open import open_transport
from triptych.transport.protocols import Transport
from triptych.transport.topics import check_topics
from triptych.units import NS_PER_S

log = structlog.get_logger(__name__)

_FLUSH_S: Final = 10.0
_DEFAULT_SCORE: Final = 0.5
_NOW: Final = "now"
_BEGINNING: Final = "beginning"
_STARTING: Final = {"endpoint": "the endpoint has not answered yet", "results": "no partition is assigned yet"}
_SHOWN_DATA: Final = 40
_LONG_DATA: Final = 500


def describe_results(settings: Settings, options: DescribeOptions, endpoint: ChatEndpoint) -> None:
    """Describe results until a signal, or the end of what exists.

    Raises:
        TriptychError: an option is invalid; the broker or the endpoint rejected the program.
    """
    gate_conditions(options.conditions), start_offsets(options.since), spending_limits(options)  # before any server
    metrics, health = DescribeMetrics(), Health("describer", starting=_STARTING)

    def count_reply(reply: ChatReply, seconds: float) -> None:
        metrics.count_reply(reply, seconds)
        health.set_ready("endpoint", reply.kind is not ReplyKind.TRANSIENT, reply.reason)

    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        if settings.describe_http.port:
            stack.enter_context(StatusServer.from_settings(settings.describe_http, metrics.registry, health))
        transport = stack.enter_context(closing(open_transport(settings.kafka)))
        needed = [name(settings.pipeline) for name in (results_topic, descriptions_topic, dead_topic)]
        check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes, names=needed)
        asker = WindowAsker(endpoint, inquiry_of(options), asking_limits(options), stop, on_reply=count_reply)
        try:
            abilities = asker.probe(audio=options.model.audio)
        except RequestStoppedError:
            return
        # The requests in flight may end after a stop, so they have a signal of their own.
        asker = replace(asker, abilities=abilities, stop=threading.Event())
        DescribeProgram(transport, asker, metrics, health).run(options, settings.pipeline, stop)


def print_request(settings: Settings, options: DescribeOptions, result_id: str) -> None:
    """Print the request about one result: complete, or on a terminal with shortened media. Sends nothing.

    Raises:
        UsageError: there is no such result.
    """
    with closing(open_transport(settings.kafka)) as transport:
        with Subscriber.from_transport(transport, pipeline=settings.pipeline) as subscriber:
            request = find_evidence(subscriber, result_id)
        media = window_media(transport, request, media_limits(options))
    abilities = EndpointAbilities(audio=options.model.audio)
    body = request_body(inquiry_of(options), request.delivery.result, media, abilities, options.model.max_output_tokens)
    shown = _shortened(body) if sys.stdout.isatty() else body
    sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")


def inquiry_of(options: DescribeOptions) -> Inquiry:
    """Return what is asked."""
    if not options.model.language.strip() or not options.model.language.isprintable():
        raise UsageError(f"language: expected a name or a tag such as German or de, got {options.model.language!r}")
    return Inquiry(options.model.model, options.model.language, options.model.ask)


def gate_conditions(options: ConditionOptions) -> GateConditions:
    """Return the conditions on results. Raises `UsageError` if one is invalid."""
    return GateConditions(
        rule=None if options.where is None else Rule(options.where),
        prompts=tuple(_prompt_floor(text) for text in options.match),
        novelty=options.novelty,
        hold_ns=round(options.hold * NS_PER_S),
        every_ns=round(options.every * NS_PER_S),
        likeness=None if options.repeat else LikenessLimits(options.same, options.same_bits),
    )


def start_offsets(since: str) -> StartOffsets:
    """Return where a new group begins. Raises `UsageError` if the text is no time."""
    if since == _NOW:
        return StartOffsets(None)
    return StartOffsets(0 if since == _BEGINNING else since_ns(since))


def asking_limits(options: DescribeOptions) -> AskingLimits:
    """Return the limits of the requests about one window."""
    return AskingLimits(options.model.max_output_tokens, options.limits.give_up_after)


def media_limits(options: DescribeOptions) -> MediaLimits:
    """Return how much of a window a model is given."""
    return MediaLimits(options.model.pictures, options.model.picture_edge, options.model.audio)


def spending_limits(options: DescribeOptions) -> tuple[DailyBudget, TokenPrices]:
    """Return budget and prices. Raises `UsageError` if a budget in dollars has no price."""
    limits = options.limits
    prices = TokenPrices(limits.usd_per_million_input, limits.usd_per_million_output)
    if limits.budget_usd_per_day is not None and prices == TokenPrices():
        raise UsageError(
            "budget-usd-per-day: expected prices as well, got none: --usd-per-million-input, --usd-per-million-output"
        )
    return DailyBudget(limits.budget_tokens_per_day, limits.budget_usd_per_day), prices


@dataclass(frozen=True, slots=True)
class DescribeProgram:
    """The program over a transport and an endpoint, whichever they are."""

    transport: Transport
    asker: WindowAsker
    metrics: DescribeMetrics
    health: Health

    def run(self, options: DescribeOptions, pipeline: str, stop: threading.Event) -> int:
        """Describe results until a stop, or the end of what exists; return how many were described. Blocks.

        Raises:
            TriptychError: an option is invalid; the broker or the endpoint rejected the program.
        """
        stream = None if options.stream is None else checked_stream(options.stream)
        conditions, starts = gate_conditions(options.conditions), start_offsets(options.since)
        budget, prices = spending_limits(options)
        ledger = SpendingLedger(budget)
        inquiry = self.asker.inquiry
        with ExitStack() as stack:
            stored = stack.enter_context(
                closing(
                    StoredDescriptions(
                        self.transport, pipeline=pipeline, prompt_hash=inquiry.prompt_hash, ledger=ledger
                    )
                )
            )
            publisher = self.transport.publisher()
            stack.callback(publisher.close, _FLUSH_S)
            group = options.group or describer_group(pipeline)
            consumer = stack.enter_context(closing(self.transport.group_consumer([results_topic(pipeline)], group)))
            parts = DescribeParts(
                self.transport,
                consumer,
                publisher,
                DescribeGate(conditions, stored.described),
                stored,
                ledger,
                prices,
                self.asker,
                self.metrics,
                self.health,
            )
            limits = DescribeLimits(options.limits.concurrency, media_limits(options), options.conditions.max_age)
            loop = DescribeLoop(parts, limits, pipeline=pipeline, stream=stream, starts=starts)
            log.info(
                "describing",
                rule=options.conditions.where,
                endpoint=str(self.asker.endpoint),
                model=inquiry.model,
                prompt_hash=inquiry.prompt_hash,
                group=group,
                since=options.since,
            )
            loop.run(stop, until_end=options.until_end)
            log.info("described", windows=loop.described)
        return loop.described


def _shortened(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Shorten long base64 in a request, for people."""
    match value:
        case str() if value.startswith("data:") or (len(value) > _LONG_DATA and " " not in value):
            return f"{value[:_SHOWN_DATA]}… ({len(value)} characters)"
        case list():
            return [_shortened(part) for part in value]
        case dict():
            return {name: _shortened(part) for name, part in value.items()}
        case _:
            return value


def _prompt_floor(text: str) -> PromptFloor:
    """Return the prompt and the least score in `PROMPT=SCORE`."""
    prompt, _, score = text.partition("=")
    try:
        least = float(score) if score else _DEFAULT_SCORE
    except ValueError:
        least = -1.0
    if not prompt or not 0 <= least <= 1:
        raise UsageError(f"match: expected PROMPT or PROMPT=SCORE with a score from 0 to 1, got {text!r}")
    return PromptFloor(prompt, least)
