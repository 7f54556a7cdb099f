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
from triptych.producers.session.rendition_player import RenditionPlayer, RenditionProgress
from triptych.producers.session.session import Players, Session
from triptych.producers.session.source_reader import SourceReader
from triptych.producers.session.text_player import TextPlayer
from triptych.producers.session.track_players import (
    AudioPlayer,
    CaptionPlayer,
    CaptionTrackPlayer,
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
from triptych.producers.subtitles.codecs import CAPTION_TRACK_CODEC, codec_name
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.track_text import TrackText


def build_players(session: Session, source: SourceReader, timeline: SessionTimeline, *, last_pass: bool) -> Players:
    """Return the players of one pass, video and audio first."""
    media = source.media
    players: Players = {}
    text = _text_player(session, source, timeline, last_pass=last_pass)
    if media.video is not None:
        players["video"] = _video_player(
            media.video, session, source, timeline, None if text is None else text.captions
        )
    if media.audio is not None:
        records = session.records["audio"]
        audio = AudioReader(
            media.audio,
            timeline,
            decoder=source.decoders["audio"],
            downmix=source.downmix,
            min_start_ns=records.watermark_ns,
        )
        players["audio"] = AudioPlayer(audio, records, None if text is None else text.add_audio)
    if text is not None:
        players["subtitles"] = text
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


def _text_player(
    session: Session, source: SourceReader, timeline: SessionTimeline, *, last_pass: bool
) -> TextPlayer | None:
    """Return the player of the text; None where the source has none."""
    if source.text_source is None:
        return None
    records = session.records["subtitles"]

    def build(captions: CaptionReader | None) -> TrackPlayer:
        text_source = source.text_source
        if text_source == "captions" and captions is not None:
            return CaptionPlayer(captions, records)
        if isinstance(text_source, SubtitleStream):
            if codec_name(text_source) == CAPTION_TRACK_CODEC:
                return CaptionTrackPlayer(CaptionReader(timeline.base_ns), records, timeline)
            plan = source.plan
            text = TrackText(text_source, feed=plan.stream, encoding=plan.subtitle_encoding, language=plan.language)
            text.faults = source.text_faults
            return EmbeddedCuePlayer(text_source, text, records, timeline, duration_ns=session.duration_ns)
        if isinstance(text_source, RenditionProgress):
            return RenditionPlayer(text_source, records, timeline)
        if isinstance(text_source, tuple):
            return _cue_file_player(text_source, session, source, timeline, last_pass=last_pass)
        return _transcript_player(session, source, timeline)

    return TextPlayer(
        source.text,
        build,
        records,
        timeline.base_ns,
        is_live=source.is_live,
        may_hold=not source.is_live and not source.plan.realtime,
    )


def _transcript_player(session: Session, source: SourceReader, timeline: SessionTimeline) -> TranscriptPlayer:
    records = session.records["subtitles"]
    return TranscriptPlayer(
        UtteranceCutter(detect_voice, max(timeline.base_ns, records.watermark_ns)),
        source.transcription,
        records,
        session.records["audio"],
        is_live=source.is_live,
    )


def _cue_file_player(
    cues: tuple[Cue, ...], session: Session, source: SourceReader, timeline: SessionTimeline, *, last_pass: bool
) -> CueFilePlayer:
    """Return the player of a cue file. Where it follows a silent source, it begins where that gave way."""
    records = session.records["subtitles"]
    begins_ns = max(0, records.watermark_ns - timeline.base_ns)
    shifted = _shifted(cues, by_ns=timeline.origin_ns - source.media.origin_ns)
    return CueFilePlayer(
        tuple(cue for cue in shifted if cue.end_ns > begins_ns),
        records,
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
