"""The records of one track, and their watermarks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triptych.producers.media.audio import PcmChunk
from triptych.producers.media.video import SampledFrame
from triptych.producers.session.track_records import PROGRESS_INTERVAL_NS, SessionInfo, TrackRecords
from triptych.producers.subtitles.cue import Cue
from triptych.schemas.names import Modality

S = 1_000_000_000
START_AT_NS = 1_767_225_600 * S


def track(modality: Modality) -> TrackRecords:
    """Return the records of a track of a session that begins in 2026."""
    return TrackRecords(SessionInfo("film", "file:///film", "session", START_AT_NS, (modality,)), modality)


def test_the_part_of_a_late_cue_before_the_watermark_is_cut_off() -> None:
    """A cue of which nothing is left is dropped."""
    records = track("subtitles")
    records.progress(3 * S, 2 * S)

    cut = records.cue(Cue(S, 5 * S, "Late"), 2 * S)
    dropped = records.cue(Cue(0, S, "Dropped"), 2 * S)

    assert cut is not None
    assert (cut.start_ns, cut.end_ns, cut.text, cut.seq) == (START_AT_NS + 2 * S, START_AT_NS + 5 * S, "Late", 0)
    assert dropped is None
    assert records.late_items == 2


def test_a_late_frame_is_dropped() -> None:
    """It takes no sequence number."""
    records = track("video")

    first = records.frame(SampledFrame(0, S, b"jpeg", 2, 2))
    late = records.frame(SampledFrame(S // 2, 2 * S, b"jpeg", 2, 2))
    following = records.frame(SampledFrame(S, 2 * S, b"jpeg", 2, 2))

    assert first is not None
    assert following is not None
    assert (first.seq, late, following.seq, records.late_items) == (0, None, 1, 1)


def test_only_a_text_track_reports_progress_before_its_first_media() -> None:
    """The first record of a session on the video and audio topics is media."""
    audio, subtitles = track("audio"), track("subtitles")

    assert subtitles.progress_due(PROGRESS_INTERVAL_NS)
    assert not audio.progress_due(9 * S)
    audio.chunk(PcmChunk(0, np.zeros(8_000, np.int16)))
    assert not audio.progress_due(S // 2 + PROGRESS_INTERVAL_NS - 1)
    assert audio.progress_due(S // 2 + PROGRESS_INTERVAL_NS)
    audio.progress(S, S // 2)
    assert not audio.progress_due(S + PROGRESS_INTERVAL_NS - 1)


def test_a_track_ends_where_its_media_ends() -> None:
    """Its watermark is the end of the session."""
    records = track("audio")
    records.chunk(PcmChunk(0, np.zeros(8_000, np.int16)))

    end = records.end(7 * S)

    assert (end.start_ns, end.next_ns) == (START_AT_NS + S // 2, START_AT_NS + 7 * S)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10 * S), st.integers(0, 10 * S)), max_size=30))
def test_watermarks_never_go_back_and_are_kept(steps: list[tuple[bool, int, int]]) -> None:
    """Whatever is asked of the track."""
    records = track("subtitles")
    watermark_ns = 0

    for is_cue, at_ns, next_ns in steps:
        record = records.cue(Cue(at_ns, at_ns + S, "x"), next_ns) if is_cue else records.progress(at_ns, next_ns)
        if record is not None:
            assert not is_cue or record.start_ns >= watermark_ns
            assert record.watermark_ns >= max(watermark_ns, START_AT_NS)
            watermark_ns = record.watermark_ns
