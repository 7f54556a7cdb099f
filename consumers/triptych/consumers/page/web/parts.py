"""What the routes share."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.consumers.page.metrics import PageMetrics
from triptych.consumers.page.questions.question_desk import QuestionDesk
from triptych.consumers.page.reading.byte_cache import ByteCache
from triptych.consumers.page.reading.dead_desk import DeadDesk
from triptych.consumers.page.reading.moment_finder import MomentFinder
from triptych.consumers.page.reading.pictures import FoundPicture, PictureReader
from triptych.consumers.page.reading.window_reader import WindowReader
from triptych.consumers.page.state.page_state import PageState
from triptych.consumers.page.web.event_stream import EventStreams
from triptych.consumers.page.web.gate import AccessRules
from triptych.consumers.page.web.health_desk import HealthDesk
from triptych.consumers.page.web.threads import BlockingCalls
from triptych.transport.protocols import Transport


@dataclass(frozen=True, slots=True)
class PageStores:
    """What reads from the topics, and what it holds."""

    transport: Transport
    pictures: PictureReader
    windows: WindowReader
    dead: DeadDesk
    picture_cache: ByteCache[FoundPicture]
    sound_cache: ByteCache[bytes]


@dataclass(frozen=True, slots=True)
class PageSearch:
    """What searches the index, and its thread."""

    finder: MomentFinder
    calls: BlockingCalls


@dataclass(frozen=True, slots=True)
class PageQuestions:
    """What answers questions about the index, and its threads."""

    desk: QuestionDesk
    calls: BlockingCalls


@dataclass(frozen=True, slots=True)
class PageParts:
    """All that the routes need.

    Attributes:
        pipeline: the pipeline's name.
        version: the version of this program.
        state: what the page knows.
        rules: who may look.
        streams: the streams of changes.
        stores: what reads from the topics.
        health: what the last look at the pipeline found.
        evidence: the threads that read pictures and windows.
        desk: the threads for dead letters and answers.
        timelines: the threads that merge windows to time lines.
        metrics: what is counted.
        search: what searches the index; None without one.
        questions: what answers questions about it; None without one.
    """

    pipeline: str
    version: str
    state: PageState
    rules: AccessRules
    streams: EventStreams
    stores: PageStores
    health: HealthDesk
    evidence: BlockingCalls
    desk: BlockingCalls
    timelines: BlockingCalls
    metrics: PageMetrics
    search: PageSearch | None = None
    questions: PageQuestions | None = None
