"""Feeds with pictures and sound of the sample clips, and results that are made up: the same in each run.

A window has two seconds: two pictures, two seconds of sound, at most one cue, and a result that points to them. What
the results say (labels, boxes, scores, shares) is computed from the number of the feed and of the window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.page_load.clip_pictures import ClipMedia, ClipPicture
from triptych.schemas.codec import encode, encode_result
from triptych.schemas.names import TOPIC_OF, result_id, results_topic
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.objects import Detection, ObjectCount
from triptych.schemas.records import AudioChunk, InputRecord, SubtitleCue, VideoFrame
from triptych.schemas.results import (
    Arrival,
    LabelScore,
    Modalities,
    ModalityReport,
    ModelReference,
    Observations,
    Prediction,
    Quality,
    Result,
    Shares,
    TimeSlice,
    Words,
)
from triptych.transport.protocols import Publisher, Transport
from triptych.transport.records import Delivered, Message
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.units import NS_PER_MS, NS_PER_S

WINDOW_NS: Final = 2 * NS_PER_S
PIPELINE: Final = "triptych"
CUES: Final = (
    "The gates open at nine, as they always did.",
    "He asked for twelve euros and a ticket to Antwerp.",
    "你好,今天的新闻从港口开始。",
    "Unless to be rather cold-hearted is a crime.",
    "Attention please: the train on platform four is late.",
)
PROMPT_NAMES: Final = ("fire", "steel-bridge")
_BOXES: Final = (
    ("animal", (0.28, 0.06, 0.56, 0.97)),
    ("building", (0.42, 0.16, 0.72, 0.98)),
    ("", (0.0, 0.0, 0.0, 0.0)),
)
"""What could be seen on each of the clips, from 0 to 1 of the picture."""
_MODEL: Final = ModelReference(name="synthetic", version="1", sha256="0" * 63 + "1")


@dataclass(frozen=True, slots=True)
class SyntheticFeed:
    """One feed: its name, its number, and the clip that it plays in a loop."""

    name: str
    number: int
    media: ClipMedia


@dataclass(slots=True)
class FeedPublisher:
    """Publishes the windows of feeds.

    Attributes:
        transport: where to; the caller closes it.
        feeds: the feeds.
        pipeline: whose results they are.
        has_sound: whether records of sound are sent too.
        changes: fields of results that are replaced: by the name of the feed and the number of the window.
    """

    transport: Transport
    feeds: Sequence[SyntheticFeed]
    pipeline: str = PIPELINE
    has_sound: bool = True
    changes: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def create_topics(self) -> None:
        """Create the topics of the pipeline."""
        admin = self.transport.admin()
        create_topics(admin, self.pipeline, TopicSettings("", partitions=1, replication=1))
        admin.close()

    def publish(self, number: int, start_ns: int) -> list[Result]:
        """Publish the window with this number of each feed, which starts at `start_ns`. Blocks."""
        publisher = self.transport.publisher()
        results = [self._publish_window(publisher, feed, number, start_ns) for feed in self.feeds]
        publisher.close(10)
        return results

    def _publish_window(self, publisher: Publisher, feed: SyntheticFeed, number: int, start_ns: int) -> Result:
        pictures = _pictures(feed, number)
        reports = {
            "video": _sent(publisher, _frames(feed, number, start_ns, pictures)),
            "audio": _sent(publisher, _chunks(feed, number, start_ns) if self.has_sound else ()),
            "subtitles": _sent(publisher, _cues(feed, number, start_ns)),
        }
        result = _result(feed, number, start_ns, Modalities(**reports), pictures[0])
        changed = self.changes.get((feed.name, number))
        if changed:
            result = Result.model_validate(dict(result) | changed)
        publisher.send(Message(results_topic(self.pipeline), *encode_result(result, pipeline=self.pipeline))).result(10)
        return result


def _pictures(feed: SyntheticFeed, number: int) -> tuple[ClipPicture, ClipPicture]:
    pictures = feed.media.pictures
    at = (number * 2 + feed.number * 7) % len(pictures)
    return pictures[at], pictures[(at + 1) % len(pictures)]


def _frames(
    feed: SyntheticFeed, number: int, start_ns: int, pictures: tuple[ClipPicture, ClipPicture]
) -> list[VideoFrame]:
    return [
        VideoFrame(
            **_common(feed, f"v{number}-{index}", start_ns + index * NS_PER_S),
            data=picture.data,
            width=picture.width,
            height=picture.height,
        )
        for index, picture in enumerate(pictures)
    ]


def _chunks(feed: SyntheticFeed, number: int, start_ns: int) -> list[AudioChunk]:
    seconds = feed.media.seconds
    if not seconds:
        return []
    return [
        AudioChunk(
            **_common(feed, f"a{number}-{index}", start_ns + index * NS_PER_S),
            end_ns=start_ns + (index + 1) * NS_PER_S,
            data=seconds[(number * 2 + index + feed.number) % len(seconds)],
        )
        for index in range(2)
    ]


def _cues(feed: SyntheticFeed, number: int, start_ns: int) -> list[SubtitleCue]:
    text = cue_of(feed, number)
    if not text:
        return []
    times = _common(feed, f"t{number}", start_ns + 300 * NS_PER_MS)
    return [SubtitleCue(**times, end_ns=start_ns + 1_900 * NS_PER_MS, text=text)]


def _common(feed: SyntheticFeed, record_id: str, start_ns: int) -> dict[str, Any]:
    return {"stream": feed.name, "id": record_id, "source": "/synthetic", "session": "s1", "start_ns": start_ns}


def _sent(publisher: Publisher, records: Sequence[InputRecord]) -> ModalityReport:
    where: list[Delivered] = [
        publisher.send(Message(TOPIC_OF[record.modality], *encode(record))).result(10) for record in records
    ]
    if not where:
        return ModalityReport(state="empty")
    return ModalityReport(
        state="present",
        items=len(where),
        used=len(where),
        partition=where[0].partition,
        offsets=(where[0].offset, where[-1].offset),
    )


def cue_of(feed: SyntheticFeed, number: int) -> str:
    """Return what is said in a window; empty if nothing is."""
    return CUES[(number // 2 + feed.number) % len(CUES)] if _wave(feed, number, 9) > 0 and number % 2 == 0 else ""


def _wave(feed: SyntheticFeed, number: int, period: float, phase: float = 0.0) -> float:
    """Return a value from -1 to 1 that rises and falls."""
    return math.sin(number / period + feed.number * 2.4 + phase)


def _score(feed: SyntheticFeed, number: int, period: float, phase: float) -> float:
    return round(0.5 + 0.46 * _wave(feed, number, period, phase), 4)


def _result(feed: SyntheticFeed, number: int, start_ns: int, modalities: Modalities, picture: ClipPicture) -> Result:
    end_ns = start_ns + WINDOW_NS
    speech = max(0.0, min(1.0, 0.5 + 0.8 * _wave(feed, number, 9)))
    video = 0.5 + 0.25 * _wave(feed, number, 13)
    fire = max(0.0, _score(feed, number, 21, 1) - 0.15)
    text = cue_of(feed, number)
    return Result(
        id=result_id(feed.name, start_ns, end_ns, 0),
        stream=feed.name,
        start_ns=start_ns,
        end_ns=end_ns,
        closed_by="progress",
        published_ns=end_ns + (600 + feed.number * 37 % 900) * NS_PER_MS,
        arrival_ms=Arrival(first=start_ns // NS_PER_MS, last=end_ns // NS_PER_MS),
        modalities=modalities,
        model=_MODEL,
        observations=Observations(
            visual=(LabelScore(label="valley", score=0.9),) if feed.number % 3 == 0 else (),
            sound=(
                LabelScore(label="music", score=round(max(0.0, 1 - speech) * 0.9, 4)),
                LabelScore(label="speech", score=round(speech, 4)),
            ),
            speech_share=round(speech, 4),
            loudness_lufs=round(-30 + 12 * _wave(feed, number, 5) + 3 * _wave(feed, number, 1.3), 2),
            words=(Words(text=text, start_ns=start_ns + 300 * NS_PER_MS, end_ns=end_ns),) if text else (),
            language="en" if text else None,
        ),
        quality=Quality(flags=("blurred",) if (number + feed.number * 7) % 40 == 0 else ()),
        detections=_detections(feed, number, start_ns, picture),
        counts={
            detection.label: ObjectCount(median=1, largest=max(1, round(2 + 1.9 * _wave(feed, number, 7))))
            for detection in _detections(feed, number, start_ns, picture)
        },
        predictions={"event": (Prediction(label="crossing", score=0.7, confidence=0.66),)},
        shares=Shares(video=round(video, 4), audio=round((1 - video) * 0.6, 4), subtitles=round((1 - video) * 0.4, 4)),
        when=tuple(
            TimeSlice(
                start_ns=start_ns + part * WINDOW_NS // 4,
                end_ns=start_ns + (part + 1) * WINDOW_NS // 4,
                contribution=round(0.2 * _wave(feed, number * 4 + part, 3), 4),
            )
            for part in range(4)
        ),
        novelty=round(max(0.0, (0.2, 0.16, 0.32, 0.18)[feed.number % 4] * (1 + _wave(feed, number, 17, 3))), 4),
        matches={
            PROMPT_NAMES[0]: Match(score=fire, log_odds=0.0),
            PROMPT_NAMES[1]: Match(score=_score(feed, number, 45, 2) * 0.4, log_odds=0.0),
        },
        stage_ms={"infer": 12.5},
    )


def _detections(feed: SyntheticFeed, number: int, start_ns: int, picture: ClipPicture) -> tuple[Detection, ...]:
    if feed.number % len(_BOXES) == len(_BOXES) - 1:
        return ()
    label, (left, top, right, bottom) = _BOXES[feed.number % len(_BOXES)]
    moved = 0.02 * _wave(feed, number, 6)
    box = (
        round(picture.width * (left + moved)),
        round(picture.height * top),
        round(picture.width * (right + moved)),
        round(picture.height * bottom),
    )
    return (Detection(time_ns=start_ns, label=label, score=0.93, box=box, track=feed.number + 1),)
