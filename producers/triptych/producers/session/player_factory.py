"""Build the track players of one pass, one for each track that the source has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from triptych.producers.media.audio import AudioReader
from triptych.producers.media.jpeg import JpegEncoder
from triptych.producers.media.pixel_aspect import PixelAspect
from triptych.producers.media.video import VideoReader
from triptych.producers.session.session import Players, Session
from triptych.producers.session.source_reader import SourceReader
from triptych.producers.session.track_players import (
    AudioPlayer,
    CaptionPlayer,
    CueFilePlayer,
    EmbeddedCuePlayer,
    TrackPlayer,
    VideoPlayer,
)
from triptych.producers.session.transcript_player import TranscriptPlayer
from triptych.producers.session_timeline import SessionTimeline
from triptych.producers.speech.recogniser import detect_voice
from triptych.producers.speech.utterances import UtteranceCutter
from triptych.producers.subtitles.cea608 import CaptionReader
from triptych.producers.subtitles.cue import Cue


def build_players(session: Session, source: SourceReader, timeline: SessionTimeline, *, last_pass: bool) -> Players:
    """Return the players of one pass, video and audio first."""
    media = source.media
    players: Players = {}
    captions = CaptionReader(timeline.base_ns) if source.text_source == "captions" else None
    transcript = _transcript_player(session, source, timeline)
    if media.video is not None:
        players["video"] = _video_player(media.video, session, source, timeline, captions)
    if media.audio is not None:
        records = session.records["audio"]
        audio = AudioReader(
            media.audio,
            timeline,
            decoder=source.decoders["audio"],
            downmix=source.downmix,
            min_start_ns=records.watermark_ns,
        )
        players["audio"] = AudioPlayer(audio, records, None if transcript is None else transcript.add_audio)
    if captions is not None:
        players["subtitles"] = CaptionPlayer(captions, session.records["subtitles"])
    elif transcript is not None:
        players["subtitles"] = transcript
    else:
        cues = _cue_player(session, source, timeline, last_pass=last_pass)
        if cues is not None:
            players["subtitles"] = cues
    return players


def _video_player(
    stream: VideoStream,
    session: Session,
    source: SourceReader,
    timeline: SessionTimeline,
    captions: CaptionReader | None,
) -> VideoPlayer:
    plan = source.plan
    encoder = JpegEncoder(max_height=plan.height, quality=plan.quality)
    reader = VideoReader(
        stream,
        timeline,
        decoder=source.decoders["video"],
        sampler=session.sampler,
        encoder=encoder,
        pixel_aspect=source.media.pixel_aspect or PixelAspect(stream),
        captions=captions,
    )
    return VideoPlayer(reader, session.records["video"], session.sampler)


def _transcript_player(session: Session, source: SourceReader, timeline: SessionTimeline) -> TranscriptPlayer | None:
    if source.media.audio is None or source.text_source != "transcribed" or source.transcription is None:
        return None
    return TranscriptPlayer(
        UtteranceCutter(detect_voice, timeline.base_ns),
        source.transcription,
        session.records["subtitles"],
        session.records["audio"],
        is_live=source.is_live,
    )


def _cue_player(
    session: Session, source: SourceReader, timeline: SessionTimeline, *, last_pass: bool
) -> TrackPlayer | None:
    """Return the player of a cue file or of a text track; None where the source has neither."""
    text_source = source.text_source
    if isinstance(text_source, SubtitleStream):
        return EmbeddedCuePlayer(text_source, session.records["subtitles"], timeline, duration_ns=session.duration_ns)
    if not isinstance(text_source, tuple):
        return None
    return CueFilePlayer(
        tuple(_shifted(text_source, by_ns=timeline.origin_ns - source.media.origin_ns)),
        session.records["subtitles"],
        timeline.base_ns,
        duration_ns=session.duration_ns,
        last_pass=last_pass,
    )


def _shifted(cues: Iterable[Cue], *, by_ns: int) -> Iterable[Cue]:
    """Yield the cues earlier by `by_ns`: after a jump, the rest of the file starts at session time zero."""
    if by_ns == 0:
        yield from cues
        return
    for cue in cues:
        shifted = replace(cue, start_ns=max(0, cue.start_ns - by_ns), end_ns=cue.end_ns - by_ns)
        if shifted.end_ns > shifted.start_ns:
            yield shifted
