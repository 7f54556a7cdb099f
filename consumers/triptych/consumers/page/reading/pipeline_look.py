"""Look at the pipeline as `triptych doctor` does, and at the sizes of its topics and the lag of its groups. Blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from triptych.consumers.doctor.judgement import Check, judge
from triptych.consumers.doctor.look import ResultIndex, Surveyor
from triptych.consumers.doctor.observations import PipelineSeen
from triptych.consumers.page.api_types import (
    GroupRow,
    HealthFinding,
    ModalityName,
    ProducerRow,
    ProducerTrack,
    Severity,
    TopicRow,
)
from triptych.consumers.page.reading.finding_words import chinese_words
from triptych.consumers.page.state.bodies import to_ms
from triptych.schemas.names import INPUT_TOPICS, Modality, consumer_group, describer_group, results_topic
from triptych.transport.errors import TransportError
from triptych.transport.protocols import Transport
from triptych.transport.records import TopicPartition
from triptych.transport.topics import existing_topics

_ORDER: Final[dict[Severity, int]] = {"wrong": 0, "note": 1, "unknown": 2, "ok": 3}
_NAME_OF: Final[dict[Modality, ModalityName]] = {"video": "video", "audio": "audio", "subtitles": "text"}


@dataclass(frozen=True, slots=True)
class PipelineLook:
    """What was seen of the pipeline at one moment. `has_index` is false where no Redis is used."""

    seen: PipelineSeen
    topics: tuple[TopicRow, ...]
    groups: tuple[GroupRow, ...]
    has_index: bool


class NoResultIndex:
    """Stands for Redis where there is none (see `ResultIndex`)."""

    def streams(self) -> tuple[str, ...]:
        """Return no stream."""
        return ()

    def newest_ns(self, stream: str) -> int | None:
        """Return no result."""
        del stream
        return None


def look_at(transport: Transport, surveyor: Surveyor, index: ResultIndex, *, has_index: bool) -> PipelineLook:
    """Return what is seen of a pipeline. Blocks for some seconds. A server that cannot be asked is no error."""
    seen = surveyor.look(transport, index, None)
    try:
        topics = _topics(transport, surveyor.pipeline)
        groups = _groups(transport, surveyor.pipeline)
    except TransportError:
        topics, groups = (), ()  # the findings say why
    return PipelineLook(seen, topics, groups, has_index)


def findings(look: PipelineLook, may_see: Callable[[str], bool]) -> tuple[HealthFinding, ...]:
    """Return what is found, what is wrong first, without the feeds that somebody may not see."""
    seen = replace(
        look.seen,
        streams=tuple(stream for stream in look.seen.streams if may_see(stream.stream)),
        known=tuple(name for name in look.seen.known if may_see(name)),
    )
    checks = [check for check in judge(seen) if look.has_index or check.step != "redis"]
    if look.seen.streams and not seen.streams:
        checks = [check for check in checks if (check.step, check.stream) != ("producer", None)]
    return tuple(sorted(map(_finding, checks), key=lambda finding: _ORDER[finding.severity]))


def producers(look: PipelineLook, may_see: Callable[[str], bool]) -> tuple[ProducerRow, ...]:
    """Return what the producers have sent of each feed that somebody may see."""
    return tuple(
        ProducerRow(
            feed=stream.stream,
            ended=stream.ended,
            tracks=tuple(
                ProducerTrack(modality=_NAME_OF[track.modality], appended_ms=to_ms(track.arrival_ns), ended=track.ended)
                for track in stream.tracks
            ),
            unread=stream.unread,
        )
        for stream in look.seen.streams
        if may_see(stream.stream)
    )


def _finding(check: Check) -> HealthFinding:
    words = chinese_words(check.step, check.status)
    return HealthFinding(
        severity=check.status,
        code=check.step,
        feed=check.stream,
        text=check.found,
        what_to_do=check.remedy,
        text_zh=words.text,
        what_to_do_zh=words.what_to_do,
    )


def _topics(transport: Transport, pipeline: str) -> tuple[TopicRow, ...]:
    with closing(transport.admin()) as admin:
        counts = {topic: admin.partition_count(topic) or 0 for topic in existing_topics(admin, pipeline)}
    rows = []
    for topic, count in counts.items():
        begins, ends = _offsets(transport, [TopicPartition(topic, number) for number in range(count)])
        records = sum(ends.values()) - sum(begins.values())
        rows.append(TopicRow(topic=topic, partitions=count, records=records, end_offset=sum(ends.values())))
    return tuple(rows)


def _offsets(
    transport: Transport, tps: Iterable[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    tps = tuple(tps)
    if not tps:
        return {}, {}
    with closing(transport.reader(dict.fromkeys(tps, 0))) as reader:
        return reader.begin_offsets(tps), reader.end_offsets(tps)


def _groups(transport: Transport, pipeline: str) -> tuple[GroupRow, ...]:
    wanted = {consumer_group(pipeline): INPUT_TOPICS, describer_group(pipeline): (results_topic(pipeline),)}
    rows = []
    with closing(transport.admin()) as admin:
        for group, topics in wanted.items():
            members = len(admin.members(group))
            lag = _lag(transport, group, topics) if members else None
            if members or group == consumer_group(pipeline):
                rows.append(GroupRow(group=group, members=members, lag=lag))
    return tuple(rows)


def _lag(transport: Transport, group: str, topics: tuple[str, ...]) -> int:
    with closing(transport.admin()) as admin:
        tps = [TopicPartition(topic, number) for topic in topics for number in range(admin.partition_count(topic) or 0)]
    begins, ends = _offsets(transport, tps)
    with closing(transport.group_consumer(topics, group)) as consumer:
        commits = consumer.committed(tps)
    read = {tp: begins[tp] if commit is None else max(commit.offset, begins[tp]) for tp, commit in commits.items()}
    return sum(max(0, ends[tp] - read[tp]) for tp in tps)
