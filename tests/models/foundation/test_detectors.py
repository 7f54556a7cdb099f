"""Detectors of tiny random models: equal to the library's pipelines, with boxes in pixels of the picture as sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.models.foundation import tiny_models
from triptych.models.detection.detector import Detector
from triptych.models.foundation.detector_building import build_foundation_detector
from triptych.models.foundation.files.model_files import find_model_files
from triptych.models.prediction import PredictedDetection
from triptych.models.window import DetectionPicture
from triptych.schemas.errors import UsageError

CPU = torch.device("cpu")
CLOSED = ["rt_detr", "d_fine"]
OPEN = ["owlv2", "grounding_dino"]
LABELS = ("dog", "steel bridge", "fire")
THRESHOLDS = {"rt_detr": 0.3, "d_fine": 0.3, "owlv2": 0.05, "grounding_dino": 0.05}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that returns the folder of a tiny detector, written once."""
    written: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in written:
            written[name] = getattr(tiny_models, f"tiny_{name}")(tmp_path_factory.mktemp(name))
        return written[name]

    return get


def picture(height: int = 48, width: int = 64, *, enlarged: int = 1, seed: int = 0) -> DetectionPicture:
    """Return a random picture that was reduced to 1 / `enlarged` of the size in which it was sent."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return DetectionPicture(pixels, time_ns=7, width=width * enlarged, height=height * enlarged)


def detector(folder: Callable[[str], Path], name: str, threshold: float | None = None) -> Detector:
    """Return a detector with a threshold that lets some random boxes pass."""
    labels = LABELS if name in OPEN else ()
    threshold = THRESHOLDS[name] if threshold is None else threshold
    return build_foundation_detector(f"folder:{folder(name)}", CPU, labels=labels, threshold=threshold)


def assert_close(ours: tuple[PredictedDetection, ...], others: tuple[PredictedDetection, ...]) -> None:
    """Compare detections, in order."""
    assert [each.label for each in ours] == [each.label for each in others]
    for one, other in zip(ours, others, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert one.box == pytest.approx(other.box, abs=0.01)


@pytest.mark.parametrize("name", [*CLOSED, *OPEN])
def test_detections_do_not_depend_on_the_other_pictures(folder: Callable[[str], Path], name: str) -> None:
    """Detections do not depend on the other pictures."""
    own = detector(folder, name)
    pictures = [picture(seed=1), picture(64, 40, seed=2), picture(30, 90, seed=3)]
    together = own.detect(pictures)
    assert any(together)
    for each, found in zip(pictures, together, strict=True):
        assert_close(found, own.detect([each])[0])
    assert own.detect([]) == []


@pytest.mark.parametrize("name", [*CLOSED, *OPEN])
def test_boxes_are_in_pixels_as_sent_inside_the_picture_by_falling_score(
    folder: Callable[[str], Path], name: str
) -> None:
    """Boxes are in pixels as sent inside the picture by falling score."""
    own = detector(folder, name)
    reduced, as_sent = own.detect([picture(enlarged=10), picture()])
    assert as_sent
    for large, small in zip(reduced, as_sent, strict=True):
        assert large.box == pytest.approx([10 * edge for edge in small.box], abs=0.1)
        left, top, right, bottom = large.box
        assert 0 <= left <= right <= 640
        assert 0 <= top <= bottom <= 480
        assert large.time_ns == 7
    scores = [found.score for found in reduced]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > THRESHOLDS[name]


@pytest.mark.parametrize("name", CLOSED)
def test_detections_are_those_of_the_library_pipeline(folder: Callable[[str], Path], name: str) -> None:
    """Detections are those of the library pipeline."""
    import transformers
    from PIL import Image

    own = picture()
    pipeline = transformers.pipeline(
        "object-detection",
        model=transformers.AutoModelForObjectDetection.from_pretrained(folder(name)),
        image_processor=transformers.AutoImageProcessor.from_pretrained(folder(name)),
    )
    found = pipeline(Image.fromarray(own.rgb_hwc_u8), threshold=THRESHOLDS[name])
    expected = sorted(((each["score"], each["label"].lower()) for each in found), reverse=True)
    ours = detector(folder, name).detect([own])[0]
    assert [each.label for each in ours] == [label for _, label in expected]
    assert [each.score for each in ours] == pytest.approx([score for score, _ in expected], abs=1e-5)
    assert {each.label for each in ours} <= {"person", "dog", "car"}


@pytest.mark.parametrize("name", OPEN)
def test_detections_of_words_are_those_of_the_library_without_overlaps(
    folder: Callable[[str], Path], name: str
) -> None:
    """Detections of words are those of the library without overlaps."""
    import transformers
    from torchvision.ops import batched_nms

    own = picture()
    model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(folder(name))
    images = transformers.AutoImageProcessor.from_pretrained(folder(name))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder(name))
    inputs = images(images=[own.rgb_hwc_u8], return_tensors="pt")
    if name == "owlv2":
        texts = tokenizer(list(LABELS), padding="max_length", max_length=16, return_tensors="pt")
        post_process: Any = images.post_process_object_detection
    else:
        texts = tokenizer("dog. steel bridge. fire.", return_tensors="pt")
        processor = transformers.GroundingDinoProcessor(images, tokenizer)
        post_process = processor.post_process_grounded_object_detection
    with torch.no_grad():
        outputs = model(**inputs, input_ids=texts["input_ids"], attention_mask=texts["attention_mask"])
    more = {} if name == "owlv2" else {"input_ids": texts["input_ids"]}
    answer = post_process(outputs, threshold=THRESHOLDS[name], target_sizes=[(48, 64)], **more)[0]
    ours = detector(folder, name).detect([own])[0]
    assert ours
    kept = range(len(answer["scores"]))
    if name == "owlv2":
        kept = batched_nms(answer["boxes"], answer["scores"], answer["labels"], 0.5).tolist()
        assert len(ours) == len(kept) < len(answer["scores"])
    theirs = [(answer["scores"][index].item(), answer["boxes"][index].tolist()) for index in kept]
    assert ours[0].score == pytest.approx(max(score for score, _ in theirs), abs=1e-5)
    for found in ours:  # each is one of theirs, up to the edges of the picture
        assert any(
            score == pytest.approx(found.score, abs=1e-5)
            and np.clip(box, 0, [64, 48, 64, 48]).tolist() == pytest.approx(list(found.box), abs=0.01)
            for score, box in theirs
        )
    assert {found.label for found in ours} <= set(LABELS)


def test_the_words_decide_which_label_a_box_of_grounding_dino_has(folder: Callable[[str], Path]) -> None:
    """The words decide which label a box of grounding dino has."""
    own = detector(folder, "grounding_dino")
    offsets = [(0, 0), (0, 3), (3, 4), (5, 10), (11, 17), (17, 18), (19, 23), (23, 24), (0, 0)]
    by_token = torch.tensor(
        [[0.9, 0.2, 0.9, 0.1, 0.3, 0.9, 0.25, 0.9, 0.9], [0.0, 0.2, 0.0, 0.1, 0.1, 0.0, 0.0, 0.0, 0.0]]
    )
    scores = own._by_label(by_token, offsets)  # noqa: SLF001 - the tiny detector does not choose what it finds
    torch.testing.assert_close(scores, torch.tensor([[0.2, 0.3, 0.25], [0.2, 0.1, 0.0]]))


def test_the_checksum_covers_weights_threshold_and_labels(folder: Callable[[str], Path]) -> None:
    """The checksum covers weights threshold and labels."""
    source = f"folder:{folder('owlv2')}"
    checksums = {
        build_foundation_detector(source, CPU, labels=labels, threshold=threshold).sha256
        for labels, threshold in [(LABELS, None), (LABELS, 0.1), (LABELS, 0.2), (LABELS[:2], None)]
    }
    assert len(checksums) == 3  # the default is 0.1
    assert find_model_files(source).sha256 not in checksums


def test_labels_are_wanted_by_the_detectors_that_have_none(folder: Callable[[str], Path]) -> None:
    """Labels are wanted by the detectors that have none."""
    with pytest.raises(UsageError, match="expected what to find"):
        build_foundation_detector(f"folder:{folder('owlv2')}", CPU, labels=[" ", ""])
    with pytest.raises(UsageError, match="finds the labels that it was trained with"):
        build_foundation_detector(f"folder:{folder('rt_detr')}", CPU, labels=["dog"])


def test_a_space_is_no_detector(tmp_path: Path) -> None:
    """A space is no detector."""
    source = f"folder:{tiny_models.tiny_siglip(tmp_path)}"
    with pytest.raises(UsageError, match=r"expected a detector .* got a model of type siglip"):
        build_foundation_detector(source, CPU)


@pytest.mark.parametrize("name", [*CLOSED, *OPEN])
def test_warming_up_runs_and_the_side_is_that_of_the_processor(folder: Callable[[str], Path], name: str) -> None:
    """Warming up runs and the side is that of the processor."""
    own = detector(folder, name)
    own.warm()
    assert own.max_side == {"rt_detr": 64, "d_fine": 64, "owlv2": 32, "grounding_dino": 192}[name]
