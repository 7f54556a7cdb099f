"""What a model predicts for one window. Fields that a model does not fill are None or empty."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from triptych.models.window import PreparedCue
    from triptych.schemas.names import Modality


@dataclass(frozen=True, slots=True)
class PredictedLabel:
    """A label and its score in [0, 1]."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class HeadScore:
    """A label of a trained head, its score and its calibrated confidence.

    For a regression head, the label is the head's name, the score is the predicted number, and the confidence is None.
    """

    label: str
    score: float
    confidence: float | None


@dataclass(frozen=True, slots=True)
class PredictedTimeSlice:
    """A part of a window and its contribution to the prediction; negative if it counts against the predicted label."""

    start_ns: int
    end_ns: int
    contribution: float


@dataclass(frozen=True, slots=True)
class PredictedDetection:
    """An object in one picture of the window.

    Attributes:
        time_ns: event time of the picture.
        label: what it is, in lower case: `person`, `face`, `car`.
        score: from 0 to 1.
        box: left, top, right and bottom edge, in pixels of the picture as it was sent.
    """

    time_ns: int
    label: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class WindowVectors:
    """Vectors of a window in a space that texts, pictures and sounds share, each float32 [D] of length 1.

    Attributes:
        space: the name of the space. Vectors of different spaces must not be compared.
        fused: the vector of the window, from the modalities that are present.
        video: that of the frames; None without frames.
        audio: that of the sounds; None without audio, or if the space has nothing to say about it.
        subtitles: that of the words; None without words.
        frames: that of each picture that was embedded, [F, D], in time order.
        frame_times_ns: event time of each of these pictures; empty if they are the window's frames, one for one.
        weights: the weights of the modalities, if `fused` is the weighted sum of their vectors, scaled to length 1;
            empty otherwise.
    """

    space: str
    fused: NDArray[np.float32]
    video: NDArray[np.float32] | None = None
    audio: NDArray[np.float32] | None = None
    subtitles: NDArray[np.float32] | None = None
    frames: NDArray[np.float32] | None = None
    frame_times_ns: tuple[int, ...] = ()
    weights: Mapping[Modality, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WindowPrediction:
    """The output of a model for one window.

    Attributes:
        visual: the labels with the highest scores for the frames, best first.
        speech_share: the fraction of the present audio that is speech; None without audio.
        loudness_lufs: integrated loudness of the present audio; None without audio or below the gate.
        words: the cues of the window, in order.
        sound: the labels with the highest scores for the audio, best first.
        language: language of the cues, an ISO 639 code.
        predictions: the scores of each trained head, by the head's name.
        shares: the contribution of each modality to the prediction; they sum to 1.
        when: the contribution of each part of the window to the prediction, in time order.
        embedding: the embedding of the window, [D] of length 1.
        frame_embeddings: the embedding of the window with each of its frames alone, each [D] of length 1; one entry if
            the window has no frames.
        detections: the objects in the pictures of the window, by time and falling score; None if no picture was
            examined.
        detection_error: why the pictures of the window could not be examined; None if they could, or there is none.
        detect_ms: time that the detector took for the batch of this window; None if it did not run.
        vectors: vectors of the window in the model's joint space; None if it has none.
        sound_vectors: vectors of the window in a space of sounds and texts, if that is a space of its own.
    """

    visual: tuple[PredictedLabel, ...] = ()
    speech_share: float | None = None
    loudness_lufs: float | None = None
    words: tuple[PreparedCue, ...] = ()
    sound: tuple[PredictedLabel, ...] = ()
    language: str | None = None
    predictions: Mapping[str, tuple[HeadScore, ...]] | None = None
    shares: Mapping[str, float] | None = None
    when: tuple[PredictedTimeSlice, ...] = ()
    embedding: tuple[float, ...] | None = None
    frame_embeddings: tuple[tuple[float, ...], ...] = ()
    detections: tuple[PredictedDetection, ...] | None = None
    detection_error: str | None = None
    detect_ms: float | None = None
    vectors: WindowVectors | None = None
    sound_vectors: WindowVectors | None = None
