"""Random logs: feeds like those of real producers, and noise that breaks every rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from tests.worker.alignment.simulation import printed
from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.entry import READING_ORDER, Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from triptych.schemas.names import Modality

EPOCH_S: Final = 1_000
"""Event time and arrival time of every log start here, so that a record can be before the first of its stream."""


class Log(list[Entry]):
    """A log with a readable representation for failing examples."""

    def __repr__(self) -> str:
        return f"\n{printed(self)}\n"


def numbered(entries: Iterable[Entry]) -> Log:
    """Return the entries in order, with the offsets of their partitions and unique payloads."""
    offsets = {modality: count() for modality in READING_ORDER}
    return Log(
        replace(entry, offset=next(offsets[entry.modality]), payload=number) for number, entry in enumerate(entries)
    )


def without_others(entries: Iterable[Entry], stream: str) -> list[Entry]:
    """Return the log with the records of one stream only. Payloads do not change."""
    offsets = {modality: count() for modality in READING_ORDER}
    return [replace(entry, offset=next(offsets[entry.modality])) for entry in entries if entry.stream in {stream, None}]


def without_redriven(entries: Iterable[Entry]) -> list[Entry]:
    """Return the log without the redriven records. Payloads do not change."""
    offsets = {modality: count() for modality in READING_ORDER}
    return [replace(entry, offset=next(offsets[entry.modality])) for entry in entries if not entry.redriven]


# --- noise ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Cursor:
    """The position of a track of a noisy log."""

    start_s: float = EPOCH_S
    seq: int = 0


_GAPS_S: Final = (0, 0, 0, 0.001, 0.4, 1, 3, 6, 10, 11, 35, 70, 130)
_STEPS_S: Final = (0, 0.5, 1, 1, 2, 2, 4, 9, 40, 1000, -1, -3, -20)
_LENGTHS_S: Final = (0.5, 1, 2, 3, 5, 200)
_WATERMARKS_AHEAD_S: Final = (0, 0, 0, 1, 2, 4, 30, 100_000, -2)
_KINDS: Final = (Kind.MEDIA,) * 8 + (Kind.PROGRESS,) * 4 + (Kind.END, Kind.DEAD)
_ANNOUNCED: Final[tuple[tuple[Modality, ...], ...]] = (
    (),
    (),
    ("video",),
    ("video", "audio"),
    ("subtitles", "video"),
    ("audio", "subtitles", "video"),
)
_SESSION_STEPS: Final = (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, -1)
_SEQ_STEPS: Final = (1, 1, 1, 1, 1, 2, 0, 0, -1, None)
_REDRIVEN: Final = (False,) * 9 + (True,)

_noisy_record = st.tuples(
    st.sampled_from(_GAPS_S),
    st.sampled_from(("a", "a", "a", "b", "c")),
    st.sampled_from(READING_ORDER),
    st.sampled_from(_KINDS),
    st.sampled_from(_STEPS_S),
    st.sampled_from(_LENGTHS_S),
    st.sampled_from(_WATERMARKS_AHEAD_S),
    st.sampled_from(_ANNOUNCED),
    st.sampled_from(_SESSION_STEPS),
    st.sampled_from(_SEQ_STEPS),
    st.sampled_from((10, 1, 40, 100)),
    st.sampled_from(_REDRIVEN),
)


def _noisy_log(rows: list[tuple]) -> Log:  # type: ignore[type-arg]  # one row is one `_noisy_record`
    arrival_s: float = EPOCH_S
    sessions = {"a": 0, "b": 0, "c": 0}
    cursors: dict[tuple[str, Modality], _Cursor] = {}
    entries = []
    for (
        gap_s,
        stream,
        modality,
        kind,
        step_s,
        length_s,
        watermark_s,
        tracks,
        session_step,
        seq_step,
        size,
        redriven,
    ) in rows:
        arrival_s += gap_s
        session = sessions[stream] + session_step
        sessions[stream] = max(sessions[stream], session)
        cursor = cursors.setdefault((stream, modality), _Cursor())
        cursor.start_s = max(0, cursor.start_s + step_s)
        cursor.seq += seq_step or 0
        start_ns = round(cursor.start_s * NS_PER_S)
        media = kind is Kind.MEDIA
        end_ns = start_ns + (1 if modality == "video" else round(length_s * NS_PER_S)) if media else start_ns
        entries.append(
            Entry(
                modality=modality,
                offset=0,
                arrival_ns=round(arrival_s * 1000) * NS_PER_MS,
                stream=None if kind is Kind.DEAD and size == 1 else stream,
                kind=kind,
                session=f"s{session}",
                seq=cursor.seq if media and seq_step is not None else None,
                start_ns=start_ns,
                end_ns=end_ns,
                watermark_ns=max(0, end_ns + round(watermark_s * NS_PER_S)),
                tracks=tracks,
                redriven=redriven,
                size_bytes=size,
            ),
        )
    return numbered(entries)


@st.composite
def noise(draw: st.DrawFn) -> Log:
    """Return a log of random records."""
    return _noisy_log(draw(st.lists(_noisy_record, min_size=2, max_size=30)))


# --- feeds ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackPlan:
    """One track of a feed: the media that it sends, and the delay of its arrival."""

    modality: Modality
    step_s: float = 0.5
    skew_s: float = 0
    delay_s: float = 0
    silent: bool = False
    stops_at_s: float | None = None
    ends: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPlan:
    """One session of one stream."""

    stream: str
    tracks: tuple[TrackPlan, ...]
    session: str = "s0"
    begins_s: float = 0
    media_from_s: float = 0
    lasts_s: float = 10
    rate: float = 1

    def entries(self) -> list[Entry]:
        """Return the records of this session, not yet in the order of arrival."""
        announced = tuple(track.modality for track in self.tracks)
        return [entry for track in self.tracks for entry in self._track(track, announced)]

    def _track(self, track: TrackPlan, announced: tuple[Modality, ...]) -> list[Entry]:
        sent = int((self.lasts_s if track.stops_at_s is None else track.stops_at_s) / track.step_s)
        entries = []
        for seq in range(max(1, sent)):
            # A silent track sends its first item, then only progress records.
            kind = Kind.PROGRESS if track.silent and seq else Kind.MEDIA
            entries.append(self._entry(track, announced, kind, seq))
        if track.ends:
            entries.append(self._entry(track, announced, Kind.END, max(1, sent)))
        return entries

    def _entry(self, track: TrackPlan, announced: tuple[Modality, ...], kind: Kind, seq: int) -> Entry:
        media_s = seq * track.step_s
        start_ns = round((EPOCH_S + self.media_from_s + track.skew_s + media_s) * NS_PER_S)
        after_ns = start_ns + round(track.step_s * NS_PER_S)
        end_ns = {Kind.MEDIA: start_ns + 1 if track.modality == "video" else after_ns}.get(kind, start_ns)
        return Entry(
            modality=track.modality,
            offset=0,
            arrival_ns=round((EPOCH_S + self.begins_s + track.delay_s + media_s / self.rate) * 1000) * NS_PER_MS,
            stream=self.stream,
            kind=kind,
            session=self.session,
            seq=seq if kind is Kind.MEDIA else None,
            start_ns=start_ns,
            end_ns=end_ns,
            watermark_ns=start_ns if kind is Kind.END else after_ns,
            tracks=announced,
            size_bytes=10,
        )


def arranged(plans: Iterable[FeedPlan]) -> list[Entry]:
    """Return the log of several sessions, in the order of arrival."""
    return numbered(sorted((entry for plan in plans for entry in plan.entries()), key=lambda entry: entry.arrival_ns))


def track_plans(
    modality: Modality, *, skews_s: tuple[float, ...], delays_s: tuple[float, ...], faults: bool
) -> st.SearchStrategy[TrackPlan]:
    """Return tracks of one modality. With `faults` they may stop without an end."""
    return st.builds(
        TrackPlan,
        modality=st.just(modality),
        step_s=st.sampled_from((0.5, 1, 0.25)),
        skew_s=st.sampled_from(skews_s),
        delay_s=st.sampled_from(delays_s),
        silent=st.booleans(),
        stops_at_s=st.sampled_from((None, None, 1, 4)) if faults else st.none(),
        ends=st.sampled_from((True, False)) if faults else st.just(value=True),
    )


def _tracks(
    skews_s: tuple[float, ...], delays_s: tuple[float, ...], *, faults: bool
) -> st.SearchStrategy[tuple[TrackPlan, ...]]:
    plan_of = {name: track_plans(name, skews_s=skews_s, delays_s=delays_s, faults=faults) for name in READING_ORDER}
    names = st.lists(st.sampled_from(READING_ORDER), min_size=1, max_size=3, unique=True)
    return names.flatmap(lambda names: st.tuples(*(plan_of[name] for name in names)))


@st.composite
def feeds(
    draw: st.DrawFn,
    *,
    skews_s: tuple[float, ...] = (0, 0, 0.3, -1, 5, 30),
    delays_s: tuple[float, ...] = (0, 0, 0.01, 0.5, 4, 12),
    faults: bool = True,
    sessions: int = 2,
) -> list[Entry]:
    """Return a log of one to three streams, each with one or more consecutive sessions."""
    plans = []
    for stream in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        begins_s: float = draw(st.sampled_from((0, 0, 0.1, 20)))
        media_from_s: float = draw(st.sampled_from((0, 0.7)))
        tracks: tuple[TrackPlan, ...] = ()
        for number in range(draw(st.integers(1, sessions))):
            if faults or not tracks:  # without faults, all sessions of a feed have the same tracks with the same delays
                tracks = draw(_tracks(skews_s, delays_s, faults=faults))
            lasts_s, rate = draw(st.sampled_from((3, 8, 15))), draw(st.sampled_from((1, 1, 20)))
            plans.append(
                FeedPlan(
                    stream=stream,
                    tracks=tracks,
                    session=f"s{number}",
                    begins_s=begins_s,
                    media_from_s=media_from_s,
                    lasts_s=lasts_s,
                    rate=rate,
                )
            )
            # When all tracks end, their last window closes: a session that starts inside it is late.
            pause_s = draw(st.sampled_from((0, 2, 30, 100) if faults else (4, 30)))
            begins_s += lasts_s / rate + pause_s
            media_from_s += lasts_s + pause_s
    return arranged(plans)


# --- outages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which records do not reach the log. Their producers keep them: they arrive afterwards, in order.

    `streams` are those whose records are held back (a producer that is cut off), or None for all (a broker that is
    away). `back_after_s` has the topics that are away, each with the time from the end of the outage to its backlog.
    """

    begins_s: float
    lasts_s: float
    back_after_s: Mapping[Modality, float]
    streams: frozenset[str] | None = None

    def arrival_ns(self, entry: Entry) -> int:
        """Return when a record arrives in spite of the outage."""
        after_s = self.back_after_s.get(entry.modality)
        begins_ns = round((EPOCH_S + self.begins_s) * NS_PER_S)
        if (
            after_s is None
            or entry.arrival_ns < begins_ns
            or (self.streams is not None and entry.stream not in self.streams)
        ):
            return entry.arrival_ns
        return max(entry.arrival_ns, begins_ns + round((self.lasts_s + after_s) * 1000) * NS_PER_MS)


def with_outage(entries: Iterable[Entry], outage: Outage) -> Log:
    """Return a log as it is if an outage holds back records."""
    moved = [replace(entry, arrival_ns=outage.arrival_ns(entry)) for entry in entries]
    return numbered(sorted(moved, key=lambda entry: entry.arrival_ns))


@st.composite
def outages(draw: st.DrawFn, *, longest_s: float = 130) -> Outage:
    """Return an outage of all topics or of some, after which the backlog of each arrives at another time."""
    lengths_s = [length_s for length_s in (1, 4, 9, 12, 15, 20, 40, 55, 130) if length_s <= longest_s]
    topics = draw(st.lists(st.sampled_from(READING_ORDER), min_size=1, max_size=3, unique=True))
    everything = draw(st.booleans())
    return Outage(
        begins_s=draw(st.sampled_from((3, 3.1, 5.5, 9))),
        lasts_s=draw(st.sampled_from(lengths_s)),
        back_after_s={topic: draw(st.sampled_from((0, 0.1, 1, 3, 7, 12))) for topic in topics}
        if not everything
        else {topic: draw(st.sampled_from((0, 0.1, 1, 3, 7, 12))) for topic in READING_ORDER},
        streams=draw(st.sampled_from((None, None, frozenset({"a"})))),
    )


@st.composite
def interrupted(draw: st.DrawFn) -> Log:
    """Return a log of feeds with one or two outages in it."""
    entries: Iterable[Entry] = draw(feeds())
    for outage in draw(st.lists(outages(), min_size=1, max_size=2)):
        entries = with_outage(entries, outage)
    return numbered(entries)


# --- settings ---------------------------------------------------------------------------------------------------------

_OUT_OF_ORDERNESS_NS: Final[tuple[Mapping[Modality, int], ...]] = (
    MappingProxyType({}),
    MappingProxyType({"video": NS_PER_S}),
    MappingProxyType({"audio": 3 * NS_PER_S, "subtitles": NS_PER_S // 2}),
)

_GRIDS_S: Final = ((2, 2), (2, 1), (3, 2), (1, 0.5))


@st.composite
def configs(draw: st.DrawFn, *, bounded: bool = False) -> AlignConfig:
    """Return settings. With `bounded`, the byte bounds are small enough to take effect."""
    size_s, hop_s = draw(st.sampled_from(_GRIDS_S))
    bounds = {}
    if bounded:
        bounds = {
            "stream_max_bytes": draw(st.sampled_from((50, 150, 10_000))),
            "partition_max_bytes": draw(st.sampled_from((120, 300, 10_000))),
            "ahead_max_bytes": draw(st.sampled_from((20, 200, 10_000))),
            "max_lead_ns": draw(st.sampled_from((NS_PER_S, 60 * NS_PER_S))),
        }
    return AlignConfig(
        size_ns=round(size_s * NS_PER_S),
        hop_ns=round(hop_s * NS_PER_S),
        idle_timeout_ns=10 * NS_PER_S,
        stream_ttl_ns=draw(st.sampled_from((60, 25))) * NS_PER_S,
        out_of_orderness_ns=draw(st.sampled_from(_OUT_OF_ORDERNESS_NS)),
        max_hold_ns=draw(st.sampled_from((3, 10))) * NS_PER_S,
        max_cue_ns=10 * NS_PER_S,
        max_empty=draw(st.sampled_from((5, 2, 1))),
        max_future_ns=900 * NS_PER_S,
        pause_ns=draw(st.sampled_from((2_500, 500, 10_000))) * NS_PER_MS,
        allowed_lateness_ns=draw(st.sampled_from((None, None, None, 0, 3 * NS_PER_S, 30 * NS_PER_S, 300 * NS_PER_S))),
        complete_within_ns=draw(st.sampled_from((None, 600 * NS_PER_S, 600 * NS_PER_S, 5 * NS_PER_S))),
        revise_after_ns=draw(st.sampled_from((NS_PER_S, 0, 20 * NS_PER_S))),
        **bounds,
    )
