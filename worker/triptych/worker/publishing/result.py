"""From a closed window and what a model says of it to the result that is published. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from triptych.models.model import ModelInfo
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedCue
from triptych.schemas.names import Modality, result_id
from triptych.schemas.records import MediaRecord
from triptych.schemas.results import (
    Added,
    Arrival,
    LabelScore,
    Modalities,
    ModalityReport,
    ModelReference,
    Observations,
    Prediction,
    Result,
    Revised,
    Shares,
    Shed,
    Sync,
    TimeSlice,
    Words,
)
from triptych.units import NS_PER_MS
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import Entry
from triptych.worker.intake import Received
from triptych.worker.media.preparer import Preparation


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """What a model says of a prepared window, and how long each stage took."""

    preparation: Preparation
    prediction: WindowPrediction
    model: ModelInfo
    stage_ms: Mapping[str, float]
    failed: bool = False

    @property
    def is_answer(self) -> bool:
        """Tell whether the model said it."""
        return self.preparation.asks_model and not self.failed


def result_of(window: ClosedWindow, said: ModelOutput, *, partition: int, published_ns: int) -> Result:
    """Return the result of a window that lies on partition number `partition`."""
    items = [entry for entries in window.items.values() for entry in entries]
    return Result(
        id=result_id(window.stream, window.start_ns, window.end_ns, window.revision),
        stream=window.stream,
        start_ns=window.start_ns,
        end_ns=window.end_ns,
        revision=window.revision,
        revised=Revised(added=Added.model_validate(window.added)) if window.revision else None,
        closed_by=window.closed_by,
        skipped=window.skipped,
        published_ns=published_ns,
        arrival_ms=_arrival(items),
        modalities=Modalities(
            video=_report(window, "video", said, partition),
            audio=_report(window, "audio", said, partition),
            subtitles=_report(window, "subtitles", said, partition),
        ),
        sync=_sync(items),
        shed=_shed(said.preparation),
        dead=window.dead + len(said.preparation.bad),
        model=ModelReference(name=said.model.name, version=said.model.version, sha256=said.model.sha256),
        observations=_observations(said.prediction),
        predictions={
            head: tuple(Prediction(label=s.label, score=s.score, confidence=s.confidence) for s in scores)
            for head, scores in (said.prediction.predictions or {}).items()
        },
        shares=None if said.prediction.shares is None else Shares.model_validate(said.prediction.shares),
        when=tuple(
            TimeSlice(start_ns=own.start_ns, end_ns=own.end_ns, contribution=own.contribution)
            for own in said.prediction.when
        ),
        embedding=said.prediction.embedding,
        stage_ms=said.stage_ms,
    )


def _shed(preparation: Preparation) -> Shed:
    shed = preparation.shed
    return Shed(
        video=shed.get("video", 0),
        audio=shed.get("audio", 0),
        subtitles=shed.get("subtitles", 0),
        model=not preparation.asks_model,
    )


def _report(window: ClosedWindow, modality: Modality, said: ModelOutput, partition: int) -> ModalityReport:
    items = window.items[modality]
    offsets = sorted(entry.offset for entry in items)
    return ModalityReport(
        state=window.states[modality],
        items=len(items),
        used=0 if said.failed else said.preparation.used.get(modality, 0),
        gaps=count_gaps(items),
        repairs=said.preparation.repairs.get(modality, 0),
        partition=partition if items else None,
        offsets=(offsets[0], offsets[-1]) if items else None,
    )


def count_gaps(items: Sequence[Entry]) -> int:
    """Return how many sequence numbers are missing between the window's own records, session by session."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for entry in items:
        if entry.seq is not None:
            numbers[entry.session].add(entry.seq)
    return sum(max(seen) - min(seen) + 1 - len(seen) for seen in numbers.values())


def _arrival(items: Sequence[Entry]) -> Arrival:
    if not items:
        return Arrival()
    arrivals_ms = [entry.arrival_ns // NS_PER_MS for entry in items]
    return Arrival(first=min(arrivals_ms), last=max(arrivals_ms))


def _sync(items: Sequence[Entry]) -> Sync:
    """Return what the newest record that carries a measurement says; nothing of the past is needed (rule 21)."""
    measured = [(entry, record) for entry in items if (record := _measured(entry)) is not None]
    if not measured:
        return Sync()
    _, newest = max(measured, key=lambda each: (each[0].start_ns, each[0].modality, each[0].offset))
    return Sync(offset_ms=newest.av_offset_ms, drift_ppm=newest.drift_ppm)


def _measured(entry: Entry) -> MediaRecord | None:
    received = entry.payload
    record = received.decoded if isinstance(received, Received) else None
    if not isinstance(record, MediaRecord) or (record.av_offset_ms is None and record.drift_ppm is None):
        return None
    return record


def _observations(prediction: WindowPrediction) -> Observations:
    return Observations(
        visual=tuple(LabelScore(label=seen.label, score=seen.score) for seen in prediction.visual),
        sound=tuple(LabelScore(label=heard.label, score=heard.score) for heard in prediction.sound),
        speech_share=prediction.speech_share,
        loudness_lufs=prediction.loudness_lufs,
        words=tuple(_words(cue) for cue in prediction.words),
        language=prediction.language,
    )


def _words(cue: PreparedCue) -> Words:
    return Words(
        text=cue.text,
        start_ns=cue.start_ns,
        end_ns=cue.end_ns,
        generated=cue.generated,
        generated_by=cue.generated_by,
    )
