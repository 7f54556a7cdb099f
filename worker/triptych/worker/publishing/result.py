"""Construction of a result from a closed window and the model's output. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from triptych.models.model import ModelInfo
from triptych.models.prediction import WindowPrediction, WindowVectors
from triptych.models.window import PreparedCue
from triptych.schemas.names import MODALITIES, Modality, result_id
from triptych.schemas.perception.objects import ObjectCount
from triptych.schemas.perception.vectors import Vectors, encode_vector
from triptych.schemas.records import AudioChunk, MediaRecord, SubtitleCue, VideoFrame
from triptych.schemas.results import Result
from triptych.units import NS_PER_MS
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import Entry
from triptych.worker.intake import Received
from triptych.worker.media.preparer import Preparation
from triptych.worker.publishing.tracking.counts import count_objects, published_detections


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """The output of a model for one prepared window, with the duration of each stage in milliseconds."""

    preparation: Preparation
    prediction: WindowPrediction
    model: ModelInfo
    stage_ms: Mapping[str, float]
    failed: bool = False

    @property
    def is_predicted(self) -> bool:
        """Whether the model made the prediction: it neither failed nor was skipped because of overload."""
        return self.preparation.asks_model and not self.failed


def result_of(window: ClosedWindow, output: ModelOutput, *, partition: int, published_ns: int) -> Result:
    """Return the result of a closed window.

    Args:
        window: the window and its items.
        output: what the model made of it.
        partition: partition of the stream's input records.
        published_ns: wall-clock time.
    """
    items = [entry for entries in window.items.values() for entry in entries]
    # One validation of a document takes a third of the time that it takes to construct its parts one by one.
    return Result.model_validate(
        {
            "id": result_id(window.stream, window.start_ns, window.end_ns, window.revision),
            "stream": window.stream,
            "start_ns": window.start_ns,
            "end_ns": window.end_ns,
            "revision": window.revision,
            "revised": {"added": window.added} if window.revision else None,
            "closed_by": window.closed_by,
            "revisable_until_ns": window.revisable_until_ns,
            "skipped": window.skipped,
            "published_ns": published_ns,
            "arrival_ms": _arrival(items),
            "modalities": {modality: _report(window, modality, output, partition) for modality in MODALITIES},
            "sync": _sync(items),
            "shed": _shed(output.preparation),
            "dead": window.dead + len(output.preparation.bad),
            "model": {"name": output.model.name, "version": output.model.version, "sha256": output.model.sha256},
            "quality": output.preparation.quality,
            "stage_ms": output.stage_ms,
            "counts": _counts(output),
            **_predicted(output.prediction),
        }
    )


def _predicted(prediction: WindowPrediction) -> dict[str, object]:
    """Return the fields of the model."""
    return {
        "observations": _observations(prediction),
        "detections": published_detections(prediction.detections or ()),
        "predictions": {
            head: [{"label": s.label, "score": s.score, "confidence": s.confidence} for s in scores]
            for head, scores in (prediction.predictions or {}).items()
        },
        "shares": prediction.shares,
        "when": [
            {"start_ns": own.start_ns, "end_ns": own.end_ns, "contribution": own.contribution}
            for own in prediction.when
        ],
        "embedding": prediction.embedding,
        "vectors": _vectors(prediction.vectors),
        "sound_vectors": _vectors(prediction.sound_vectors),
    }


def _shed(preparation: Preparation) -> dict[str, object]:
    return {
        **{modality: preparation.shed.get(modality, 0) for modality in MODALITIES},
        "detections": preparation.shed_pictures,
        "model": not preparation.asks_model,
    }


def _counts(output: ModelOutput) -> Mapping[str, ObjectCount] | None:
    detections = output.prediction.detections
    if detections is None:
        return None
    return count_objects(detections, [picture.time_ns for picture in output.preparation.window.pictures])


def _report(window: ClosedWindow, modality: Modality, output: ModelOutput, partition: int) -> dict[str, object]:
    items = window.items[modality]
    offsets = [entry.offset for entry in items]
    return {
        "state": window.states[modality],
        "items": len(items),
        "used": 0 if output.failed else output.preparation.used.get(modality, 0),
        "gaps": count_gaps(items),
        "repairs": output.preparation.repairs.get(modality, 0),
        "partition": partition if items else None,
        "offsets": (min(offsets), max(offsets)) if items else None,
    }


def count_gaps(items: Sequence[Entry]) -> int:
    """Return the number of sequence numbers missing between the window's own records of each session."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for entry in items:
        if entry.seq is not None:
            numbers[entry.session].add(entry.seq)
    return sum(max(seen) - min(seen) + 1 - len(seen) for seen in numbers.values())


def _arrival(items: Sequence[Entry]) -> dict[str, int]:
    if not items:
        return {}
    arrivals_ns = [entry.arrival_ns for entry in items]
    return {"first": min(arrivals_ns) // NS_PER_MS, "last": max(arrivals_ns) // NS_PER_MS}


def _sync(items: Sequence[Entry]) -> dict[str, float | None]:
    """Return the measurement of the newest record that carries one, by event time.

    It depends on the window's own records only, as alignment rule 21 (docs/alignment.md) demands.
    """
    measured = [(entry, record) for entry in items if (record := _measured(entry)) is not None]
    if not measured:
        return {}
    _, newest = max(measured, key=lambda each: (each[0].start_ns, each[0].modality, each[0].offset))
    return {"offset_ms": newest.av_offset_ms, "drift_ppm": newest.drift_ppm}


def _measured(entry: Entry) -> MediaRecord | None:
    received = entry.payload
    record = received.decoded if isinstance(received, Received) else None
    # By type: `isinstance` of a class of pydantic runs Python code, and every record of a window comes here.
    if type(record) is AudioChunk or type(record) is VideoFrame or type(record) is SubtitleCue:
        return None if record.av_offset_ms is None and record.drift_ppm is None else record
    return None


def _observations(prediction: WindowPrediction) -> dict[str, object]:
    return {
        "visual": [{"label": seen.label, "score": seen.score} for seen in prediction.visual],
        "sound": [{"label": heard.label, "score": heard.score} for heard in prediction.sound],
        "speech_share": prediction.speech_share,
        "loudness_lufs": prediction.loudness_lufs,
        "words": [_words(cue) for cue in prediction.words],
        "language": prediction.language,
    }


def _vectors(vectors: WindowVectors | None) -> Vectors | None:
    if vectors is None:
        return None
    own = {"video": vectors.video, "audio": vectors.audio, "subtitles": vectors.subtitles}
    encoded = {
        name: encode_vector(vector.tolist())
        for name, vector in own.items()
        if vector is not None and vector is not vectors.fused
    }
    if vectors.weights:  # readers compute the fused one, which would be a quarter of all vectors
        return Vectors(space=vectors.space, weights=vectors.weights, **encoded)
    return Vectors(space=vectors.space, fused=encode_vector(vectors.fused.tolist()), **encoded)


def _words(cue: PreparedCue) -> dict[str, object]:
    return {
        "text": cue.text,
        "start_ns": cue.start_ns,
        "end_ns": cue.end_ns,
        "generated": cue.generated,
        "generated_by": cue.generated_by,
    }
