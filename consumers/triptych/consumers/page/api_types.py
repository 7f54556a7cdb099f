"""The JSON bodies of the page's HTTP API. `python -m tools.contract` writes their schema, from which types are made.

Times are integers: milliseconds of event time since the epoch (`..._ms`), which JavaScript holds exactly. A window's id
is `START_NS-END_NS`, and with the feed in front of it the id that all revisions of its result share. URLs are relative
to the origin. A field without a value is null or empty; each field is always written.

All times are event time unless the name says otherwise (`published_ms`, `appended_ms`: wall clocks).
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["see", "review", "operate"]
ROLES: Final[tuple[Role, ...]] = ("see", "review", "operate")
ModalityState = Literal["ok", "held", "empty", "idle", "missing"]
"""`ok`: has records. `held`: the last picture before the window. `empty`: nothing in this window. `idle`: silent, and
not waited for. `missing`: the feed has none."""
ModalityName = Literal["video", "audio", "text"]
Attention = Literal[
    "match", "novelty", "quality", "modality_missing", "dead_letters", "overload", "lag", "silent", "revised"
]
"""Why a feed is worth a look. `silent`: no result came for a while although the feed has not ended."""
ReviewKind = Literal["match", "alert"]
ReviewAnswer = Literal["yes", "no"]
Severity = Literal["wrong", "note", "unknown", "ok"]
LetterState = Literal["waiting", "unsure", "redriven", "dead_again"]


class ApiBody(BaseModel):
    """A body, or a part of one. Bodies of requests may not have unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class ApiError(ApiBody):
    """What every error answers: what is wrong, and what to do about it."""

    error: str
    what_to_do: str


# --- session ----------------------------------------------------------------------------------------------------------


class SessionBody(ApiBody):
    """`GET /api/session`: who looks, and at what. `user` is null, and `roles` empty, where `needs_login` is true."""

    user: str | None
    roles: tuple[Role, ...]
    pipeline: str
    version: str
    languages: tuple[str, ...]
    needs_login: bool
    can_log_out: bool
    can_search: bool
    can_ask: bool


class LoginRequest(ApiBody):
    """`POST /api/login`. The answer is a `SessionBody`, and sets the cookie."""

    token: str = Field(min_length=1, max_length=512)


# --- pictures and words -----------------------------------------------------------------------------------------------


class PictureLink(ApiBody):
    """Where a picture is. `width` and `height` are its pixels as it was sent; null until the server has seen one."""

    url: str
    at_ms: int
    width: int | None
    height: int | None


class SeenBox(ApiBody):
    """A detected object: its left, top, right and bottom edge from 0 to 1 of the picture."""

    label: str
    score: float
    box: tuple[float, float, float, float]
    track: int | None
    at_ms: int


class SpokenWords(ApiBody):
    """One cue. `generated` marks text from speech recognition."""

    text: str
    language: str | None
    at_ms: int
    generated: bool


class SeenLabel(ApiBody):
    """A label of pictures or sounds that is worth showing, and its score from 0 to 1."""

    label: str
    score: float


# --- wall -------------------------------------------------------------------------------------------------------------


class TileModalities(ApiBody):
    """The state of each modality in the feed's newest window."""

    video: ModalityState
    audio: ModalityState
    text: ModalityState


class Sparklines(ApiBody):
    """The feed's last 60 windows, oldest first. `loudness` is in LUFS. Null where a window has no value."""

    speech: tuple[float | None, ...]
    loudness: tuple[float | None, ...]
    novelty: tuple[float | None, ...]


class FeedTile(ApiBody):
    """The newest state of a feed (`GET /api/wall`, `event: tile`).

    `lag_s` is how long after its end the newest window was published, in seconds of the worker's clock; null for feeds
    whose event time is not near the wall clock, such as files. `published_ms` is that clock. `counts` are how many
    objects are worth showing, by label; `matches` the score of each prompt from 0 to 1. `attention` from 0 to 1 sorts
    the wall, and `attention_why` gives the reasons, the strongest first.
    """

    feed: str
    window_id: str
    start_ms: int
    end_ms: int
    published_ms: int
    lag_s: float | None
    modalities: TileModalities
    picture: PictureLink | None
    boxes: tuple[SeenBox, ...]
    counts: dict[str, int]
    words: tuple[SpokenWords, ...]
    sounds: tuple[SeenLabel, ...]
    labels: tuple[SeenLabel, ...]
    sparklines: Sparklines
    matches: dict[str, float]
    quality: tuple[str, ...]
    attention: float
    attention_why: tuple[Attention, ...]


class WallBody(ApiBody):
    """`GET /api/wall`. `cursor` continues as `GET /api/events?cursor=`. `catching_up`: older results are being read."""

    cursor: str
    catching_up: bool
    feeds: tuple[FeedTile, ...]


class HealthCounts(ApiBody):
    """`event: health`: counts only. `GET /api/health` says more."""

    feeds: int
    wrong: int
    notes: int
    dead: int
    open_reviews: int
    catching_up: bool


class StreamGone(ApiBody):
    """`event: gone`: the cursor cannot be continued. Load the wall again, and continue from its cursor."""

    reason: str


# --- feed -------------------------------------------------------------------------------------------------------------


class ModalityShares(ApiBody):
    """Each modality's share in the model's prediction."""

    video: float | None
    audio: float | None
    text: float | None


class TimelineWindow(ApiBody):
    """One window of a feed, or, where `windows` is more than 1, several in a row as one.

    Of several windows: the time from the first to the last, the mean of speech, music and loudness, the highest
    novelty, counts and matches; `window_id`, `picture`, `shares` and `revision` are those of the window with the
    highest match or novelty.
    """

    window_id: str
    windows: int
    start_ms: int
    end_ms: int
    picture: PictureLink | None
    speech: float | None
    music: float | None
    loudness: float | None
    novelty: float | None
    shares: ModalityShares | None
    counts: dict[str, int]
    words: tuple[SpokenWords, ...]
    matches: dict[str, float]
    quality: tuple[str, ...]
    revision: int


class TimelineBody(ApiBody):
    """`GET /api/feeds/{feed}/timeline`. `oldest_ms` and `newest_ms` bound what the server remembers of the feed."""

    feed: str
    from_ms: int
    to_ms: int
    oldest_ms: int
    newest_ms: int
    windows: tuple[TimelineWindow, ...]


class EvidenceRow(ApiBody):
    """One record on which a result rests. `text` is the text of a cue."""

    modality: ModalityName
    topic: str
    partition: int
    offset: int
    at_ms: int
    end_ms: int | None
    appended_ms: int
    bytes: int
    text: str | None


class RevisionRow(ApiBody):
    """One revision of a window's result that the server has seen. `added` is how many records were new."""

    revision: int
    published_ms: int
    closed_by: str
    added: int


class AttributionSlice(ApiBody):
    """How much an interval of the window contributed to the prediction: its Shapley value."""

    start_ms: int
    end_ms: int
    weight: float


class WindowAttribution(ApiBody):
    """Why the model predicted what it did: the shares of the modalities, and the intervals of the window."""

    shares: ModalityShares | None
    slices: tuple[AttributionSlice, ...]


class DescriptionBody(ApiBody):
    """What a vision-language model wrote about a window."""

    title: str
    what_happens: str
    who: tuple[str, ...]
    answers: tuple[DescriptionAnswerBody, ...]
    confidence: float | None
    model: str
    language: str


class DescriptionAnswerBody(ApiBody):
    """An answer to a question that was asked about the window."""

    question: str
    answer: str


class WindowBody(ApiBody):
    """`GET /api/feeds/{feed}/windows/{window_id}`.

    `result` is the newest revision as it was published (see `result.schema.json`). `missing` says which records no
    longer exist and why, one line each. `waveform` has the highest absolute sample of each of up to 400 equal parts of
    the window, from 0 to 1. `boxes` are those of all pictures.
    """

    result: dict[str, Any]
    records: tuple[EvidenceRow, ...]
    missing: tuple[str, ...]
    revisions: tuple[RevisionRow, ...]
    attribution: WindowAttribution | None
    trace_id: str | None
    description: DescriptionBody | None
    pictures: tuple[PictureLink, ...]
    boxes: tuple[SeenBox, ...]
    sound_url: str | None
    waveform: tuple[float, ...] | None


# --- review -----------------------------------------------------------------------------------------------------------


class ReviewEvent(ApiBody):
    """Windows in a row of one feed in which a prompt matches, or a rule holds (`GET /api/review`, `event: review`).

    `score`, `window_id`, `picture` and `words` are those of the window that matches best. `is_over` is false while the
    event may go on. Only events with `can_answer` take an answer: those of prompts.
    """

    id: str
    kind: ReviewKind
    feed: str
    prompt: str | None
    rule: str | None
    first_ms: int
    last_ms: int
    windows: int
    score: float | None
    window_id: str
    picture: PictureLink | None
    words: tuple[SpokenWords, ...]
    description: DescriptionBody | None
    answer: ReviewAnswer | None
    can_answer: bool
    is_over: bool


class ReviewBody(ApiBody):
    """`GET /api/review`: the newest events first. `next_before` continues as `before=`; null at the end."""

    events: tuple[ReviewEvent, ...]
    next_before: str | None
    prompts: tuple[str, ...]


class AnswerRequest(ApiBody):
    """`POST /api/review/{id}` (role review). The answer is the `ReviewEvent`."""

    answer: ReviewAnswer


# --- health -----------------------------------------------------------------------------------------------------------


class HealthFinding(ApiBody):
    """What `triptych doctor` finds: `code` is the step of the flow. `feed` is null where it is about all of them."""

    severity: Severity
    code: str
    feed: str | None
    text: str
    what_to_do: str
    text_zh: str | None
    what_to_do_zh: str | None


class TopicRow(ApiBody):
    """One topic. `records` are those that it holds, `end_offset` all that were ever appended, over its partitions."""

    topic: str
    partitions: int
    records: int
    end_offset: int


class GroupRow(ApiBody):
    """One consumer group. `lag` is how many records it has not committed."""

    group: str
    members: int
    lag: int | None


class DeadCount(ApiBody):
    """How many dead letters with a reason wait for somebody."""

    reason: str
    n: int


class ModelRow(ApiBody):
    """A model that computed results, and of how many feeds it computed the newest one."""

    name: str
    version: str
    sha256: str
    feeds: int


class RedisBody(ApiBody):
    """What Redis says. `error` is empty where it answers; all is null where no Redis is used."""

    used: bool
    error: str
    feeds: int | None


class ProducerTrack(ApiBody):
    """The newest record of one modality of a feed."""

    modality: ModalityName
    appended_ms: int
    ended: bool


class ProducerRow(ApiBody):
    """What the producers have sent of a feed within a day."""

    feed: str
    ended: bool
    tracks: tuple[ProducerTrack, ...]
    unread: int


class PageCounts(ApiBody):
    """The page's own state: clients of the event stream, and what it left out for slow ones."""

    clients: int
    coalesced: int
    windows: int
    evidence_bytes: int
    loop_lag_ms: float


class HealthBody(ApiBody):
    """`GET /api/health`. What is wrong comes first in `findings`.

    `late` is the number of records that came after their window and revised it, `shed` the number of items that
    overload left out, `dead_in_results` the number of dead letters that results name: all since the page began to
    read. `looked_ms` is the wall clock of the findings; null until the first look has ended.
    """

    looked_ms: int | None
    findings: tuple[HealthFinding, ...]
    feeds_n: int
    topics: tuple[TopicRow, ...]
    groups: tuple[GroupRow, ...]
    late: int
    shed: int
    dead_in_results: int
    dead: tuple[DeadCount, ...]
    models: tuple[ModelRow, ...]
    redis: RedisBody
    producers: tuple[ProducerRow, ...]
    page: PageCounts


class LetterRow(ApiBody):
    """A dead letter. `partition` and `offset` are its position on the dead-letter topic, the rest is of its record."""

    partition: int
    offset: int
    id: str
    reason: str
    text: str
    feed: str
    topic: str
    appended_ms: int
    bytes: int
    state: LetterState
    can_redrive: bool


class LettersBody(ApiBody):
    """`GET /api/dead`: the newest letters first. `total` counts those that fit the question."""

    letters: tuple[LetterRow, ...]
    total: int


class HeaderRow(ApiBody):
    """A header of a dead record, as text."""

    name: str
    value: str


class LetterBody(ApiBody):
    """`GET /api/dead/{partition}/{offset}`: a letter, the record's headers, and the beginning of its value.

    `text` is the beginning as UTF-8, null where it is none. `hexadecimal` is the beginning byte by byte.
    """

    letter: LetterRow
    headers: tuple[HeaderRow, ...]
    text: str | None
    hexadecimal: str
    bytes_shown: int


class LetterPosition(ApiBody):
    """Where a letter is on the dead-letter topic."""

    partition: int = Field(ge=0, le=1_000_000)
    offset: int = Field(ge=0, le=2**63 - 1)


class RedriveRequest(ApiBody):
    """`POST /api/dead/redrive` (role operate)."""

    letters: tuple[LetterPosition, ...] = Field(min_length=1, max_length=1_000)


class RedriveBody(ApiBody):
    """What a redrive did: how many records were sent, and why others were not."""

    redriven: int
    failed: int
    skipped: int
    reasons: tuple[str, ...]


# --- search -----------------------------------------------------------------------------------------------------------


class FoundReason(ApiBody):
    """A part of a window that was found, and why. `similarity` is the cosine of what is meant and the part.

    `by_words` is whether words of the query are in it. `text` is what was seen, heard, said, matched or described, cut.
    """

    part: Literal["video", "audio", "text", "prompts", "description"]
    by_words: bool
    similarity: float | None
    text: str


class SearchedMoment(ApiBody):
    """Windows that were found and follow one another. `window_id`, `at_ms`, `result` and `why` are of the best one.

    `is_kept` is whether the page remembers that time of the feed: only then there is more to see of it. `picture` is
    null where the page remembers the window only together with others; its `WindowBody` has its pictures then.
    """

    feed: str
    start_ms: int
    end_ms: int
    at_ms: int
    window_id: str
    result: str
    windows: int
    is_kept: bool
    picture: PictureLink | None
    why: tuple[FoundReason, ...]


class SearchNote(ApiBody):
    """What to know about how it was searched, in both languages."""

    text: str
    text_zh: str


class SearchBody(ApiBody):
    """`GET /api/search`: the moments that fit best, the best first."""

    moments: tuple[SearchedMoment, ...]
    notes: tuple[SearchNote, ...]


# --- questions --------------------------------------------------------------------------------------------------------


class AskRequest(ApiBody):
    """`POST /api/ask`. The answer is an `AskBody`. `conversation` is that of the answer before; empty for a new one."""

    question: str = Field(min_length=1, max_length=500, pattern=r"\S")
    conversation: str = Field(default="", max_length=64)
    feed: str = Field(default="", max_length=1_024)


class CitedMoment(ApiBody):
    """What an answer rests on: a cue that was said, or a window that shows or sounds like something.

    `number` is what the answer cites. `at_ms`, `window_id` and `result` are of the first window of the moment, and
    `is_kept` and `picture` as in `SearchedMoment`.
    """

    number: int
    feed: str
    start_ms: int
    end_ms: int
    at_ms: int
    window_id: str
    result: str
    kind: Literal["said", "seen", "heard"]
    text: str
    count: int | None
    is_kept: bool
    picture: PictureLink | None


class AskBody(ApiBody):
    """The answer to a question, in the language of the question, and the moments that it rests on.

    `text` says where and when it was; `brief` says how many moments there are instead, and stands above a list of them.
    `worded` is what a language model wrote, with the numbers of moments in brackets; empty without one. `is_continued`
    is whether the question could refer to the answer before; `is_restricted` whether there may be feeds that were left
    out since the user may not see them.
    """

    conversation: str
    outcome: Literal["answered", "not_found", "not_understood"]
    language: Literal["en", "zh"]
    text: str
    brief: str
    worded: str
    moments: tuple[CitedMoment, ...]
    more_moments: int
    notes: tuple[str, ...]
    has_model_failed: bool
    is_continued: bool
    is_restricted: bool


API_BODIES: Final[tuple[type[ApiBody], ...]] = (
    ApiError,
    SessionBody,
    LoginRequest,
    WallBody,
    FeedTile,
    HealthCounts,
    StreamGone,
    TimelineBody,
    WindowBody,
    ReviewBody,
    ReviewEvent,
    AnswerRequest,
    HealthBody,
    LettersBody,
    LetterBody,
    RedriveRequest,
    RedriveBody,
    SearchBody,
    AskRequest,
    AskBody,
)
"""The bodies that stand for themselves, for the schema."""

DescriptionBody.model_rebuild()
