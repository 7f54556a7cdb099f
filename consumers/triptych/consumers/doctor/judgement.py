"""Judge what is seen of a pipeline, step by step along its flow. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from triptych.consumers.doctor.observations import PipelineSeen, StreamSeen
from triptych.schemas.names import DEFAULT_PIPELINE, MODALITIES, dead_topic, results_topic
from triptych.units import NS_PER_S

_SHOWN_STREAMS: Final = 10
_S_PER_MINUTE: Final = 60
_S_PER_HOUR: Final = 3_600
_S_PER_DAY: Final = 86_400
_PRECISE_S: Final = 10

Step = Literal["kafka", "topics", "producer", "worker", "lag", "dead letters", "results", "redis"]
Status = Literal["ok", "note", "wrong", "unknown"]
"""`note`: worth knowing, and not wrong. `unknown`: it could not be looked at, because of what is wrong before it."""


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one step, for one stream or for all: what was found, and what to do about it."""

    step: Step
    status: Status
    found: str
    remedy: str = ""
    stream: str | None = None


def judge(seen: PipelineSeen) -> tuple[Check, ...]:
    """Return the steps of the flow in their order."""
    return tuple(_checks(seen))


def stops_at(checks: tuple[Check, ...]) -> Check | None:
    """Return the first step that is wrong; None if none is."""
    return next((check for check in checks if check.status == "wrong"), None)


def age(ns: int) -> str:
    """Return a duration for people."""
    seconds = max(0, ns) / NS_PER_S
    if seconds < _PRECISE_S:
        return f"{seconds:.1f} s"
    if seconds < 2 * _S_PER_MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _S_PER_HOUR:
        return f"{seconds / _S_PER_MINUTE:.0f} min"
    return f"{seconds / _S_PER_HOUR:.0f} h" if seconds < 2 * _S_PER_DAY else f"{seconds / _S_PER_DAY:.0f} days"


def _checks(seen: PipelineSeen) -> Iterator[Check]:
    yield _kafka(seen)
    if not seen.kafka_error:
        yield _topics(seen)
        if not seen.topic_problems:
            yield from _flow(seen)
    if seen.redis_error:
        remedy = (
            "`make redis` in a checkout starts one on 127.0.0.1:6379; for another server: --redis-url, or the setting "
            "redis.url, as the worker has it"
        )
        yield Check("redis", "wrong", seen.redis_error, remedy)
    elif seen.kafka_error or seen.topic_problems:
        yield Check("redis", "ok", f"answers, and holds results of {_named(seen.known)}")


def _kafka(seen: PipelineSeen) -> Check:
    if not seen.kafka_error:
        return Check("kafka", "ok", "answers")
    remedy = (
        "`make kafka` in a checkout starts one on 127.0.0.1:9092; for another broker: --bootstrap-servers, or the "
        "setting kafka.bootstrap_servers"
    )
    return Check("kafka", "wrong", seen.kafka_error, remedy)


def _topics(seen: PipelineSeen) -> Check:
    if not seen.topic_problems:
        return Check("topics", "ok", f"the topics of pipeline {seen.pipeline} exist, with the required settings")
    return Check("topics", "wrong", "\n".join(seen.topic_problems), f"`triptych topics create{_flag(seen)}`")


def _flow(seen: PipelineSeen) -> Iterator[Check]:
    if not seen.streams:
        remedy = "`triptych produce FILE|URL` sends one, with the same kafka.bootstrap_servers"
        yield Check("producer", "wrong", "no stream has sent a record within a day", remedy)
    yield from (_producer(seen, stream) for stream in seen.streams)
    yield _worker(seen)
    yield from (_lag(seen, stream) for stream in seen.streams if stream.tracks)
    yield from (_dead_letters(seen, stream) for stream in seen.streams)
    yield from (_results(seen, stream) for stream in seen.streams if stream.tracks)
    if not seen.redis_error:
        yield from (_redis(seen, stream) for stream in seen.streams)


def _producer(seen: PipelineSeen, stream: StreamSeen) -> Check:
    name, newest_ns = stream.stream, stream.newest_ns
    if newest_ns is None:
        found = (
            f"no valid record of it is among the newest of its partitions; streams with records: {_named(seen.known)}"
        )
        remedy = f"`triptych produce FILE|URL --stream {name}` sends it, with the same kafka.bootstrap_servers"
        return Check("producer", "wrong", found, remedy, name)
    ages = ", ".join(f"{t.modality} {age(seen.now_ns - t.arrival_ns)} ago" for t in stream.tracks)
    missing = [modality for modality in MODALITIES if modality not in {t.modality for t in stream.tracks}]
    found = f"newest records: {ages}" + (f"; no {' and no '.join(missing)}" if missing else "")
    if stream.ended:
        return Check("producer", "ok", f"ended {age(seen.now_ns - newest_ns)} ago; {found}", stream=name)
    if seen.now_ns - newest_ns > seen.patience_ns:
        remedy = "its producer stopped, or lost its source: read the producer's log (source_lost), or start it again"
        return Check("producer", "wrong", f"silent, and it did not end; {found}", remedy, name)
    silent = [t.modality for t in stream.tracks if not t.ended and seen.now_ns - t.arrival_ns > seen.patience_ns]
    if silent:
        remedy = f"no {' and no '.join(silent)} comes from the source; results call it idle"
        return Check("producer", "note", found, remedy, name)
    return Check("producer", "ok", found, stream=name)


def _worker(seen: PipelineSeen) -> Check:
    if seen.workers:
        return Check("worker", "ok", f"{seen.workers} in the consumer group {seen.pipeline}")
    found = f"the consumer group {seen.pipeline} has no members"
    return Check("worker", "wrong", found, f"`triptych work{_flag(seen)}` starts one")


def _lag(seen: PipelineSeen, stream: StreamSeen) -> Check:
    name = stream.stream
    if not stream.unread or stream.oldest_unread_ns is None:
        return Check("lag", "ok", "all records of its partitions are committed", stream=name)
    found = (
        f"{stream.unread} records of its partitions are not committed, the oldest came "
        f"{age(seen.now_ns - stream.oldest_unread_ns)} ago"
    )
    if not _waits_too_long(seen, stream):
        held = "open windows and the last records of a stream stay so for a while"
        return Check("lag", "ok", f"{found}; {held}", stream=name)
    if seen.is_advancing:
        remedy = "the worker is catching up: wait, or start more workers, or choose `work --overload degrade`"
    elif seen.workers:
        remedy = "the worker does not advance: read its log, and /readyz on its http.port"
    else:
        remedy = "start a worker"
    return Check("lag", "wrong", found, remedy, name)


def _dead_letters(seen: PipelineSeen, stream: StreamSeen) -> Check:
    name, letters = stream.stream, stream.letters
    if not letters.count:
        return Check("dead letters", "ok", "none of the last day is waiting", stream=name)
    reasons = ", ".join(letters.reasons)
    found = (
        f"{letters.count} on {dead_topic(seen.pipeline)} within a day, the newest "
        f"{age(seen.now_ns - letters.newest_ns)} ago: {reasons}"
    )
    remedy = f"`triptych dead list --stream {name}{_flag(seen)}`; mend the cause, then `triptych dead redrive`"
    return Check("dead letters", "wrong", found, remedy, name)


def _results(seen: PipelineSeen, stream: StreamSeen) -> Check:
    name, allowed_ns = stream.stream, seen.allowed_ns
    topic = results_topic(seen.pipeline)
    remedy = (
        "the worker's log and /readyz say why; a window closes when every track is past it, or idle for "
        f"align.idle_timeout_ms ({age(seen.idle_ns)})"
    )
    if stream.result_ns is None:
        if seen.now_ns - (stream.first_ns or seen.now_ns) <= allowed_ns:
            return Check("results", "note", f"no result on {topic} yet; its first records have just come", stream=name)
        return Check("results", "wrong", f"no result among the newest on {topic}", remedy, name)
    found = f"the newest on {topic} came {age(seen.now_ns - stream.result_ns)} ago"
    if _waits_too_long(seen, stream) and not stream.unread:
        waiting = age(seen.now_ns - (stream.waiting_since_ns or seen.now_ns))
        return Check("results", "wrong", f"{found}, and records that came {waiting} ago have none", remedy, name)
    return Check("results", "ok", found, stream=name)


def _redis(seen: PipelineSeen, stream: StreamSeen) -> Check:
    name = stream.stream
    if stream.kept_ns is None:
        if stream.result_ns is None:
            return Check("redis", "unknown", "answers; there is no result to store", stream=name)
        remedy = (
            "compare redis.url and pipeline in `triptych config` with those of the worker; results of a silent stream "
            "expire after redis.key_ttl_s"
        )
        return Check("redis", "wrong", "answers, but has no result of the stream, and Kafka has", remedy, name)
    found = f"the newest result was published {age(seen.now_ns - stream.kept_ns)} ago"
    if stream.result_ns is not None and stream.result_ns - stream.kept_ns > seen.patience_ns:
        remedy = "the worker cannot write it: read its log (store_unavailable), and its redis.url"
        return Check(
            "redis", "wrong", f"{found}, {age(stream.result_ns - stream.kept_ns)} before Kafka's", remedy, name
        )
    return Check("redis", "ok", found, stream=name)


def _waits_too_long(seen: PipelineSeen, stream: StreamSeen) -> bool:
    """Return whether media of the stream has had no result for longer than the flow needs."""
    return stream.waiting_since_ns is not None and seen.now_ns - stream.waiting_since_ns > seen.allowed_ns


def _named(streams: tuple[str, ...]) -> str:
    if not streams:
        return "no stream"
    more = len(streams) - _SHOWN_STREAMS
    return ", ".join(streams[:_SHOWN_STREAMS]) + (f" and {more} more" if more > 0 else "")


def _flag(seen: PipelineSeen) -> str:
    return "" if seen.pipeline == DEFAULT_PIPELINE else f" --pipeline {seen.pipeline}"
