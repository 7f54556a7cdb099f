"""Detectors that are told in words what to find: OWLv2 and Grounding DINO of the library transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from triptych.models.foundation.detectors import detections, detector_checksum, longer_side, warm_picture
from triptych.models.foundation.encoders.joint_encoder import device_of
from triptych.models.foundation.files.libraries import load_pretrained, load_pretrained_model
from triptych.models.foundation.files.model_files import ModelFiles
from triptych.models.prediction import PredictedDetection
from triptych.models.window import DetectionPicture
from triptych.schemas.errors import UsageError

OPEN_ARCHITECTURES: Final = ("owlv2", "grounding-dino")
OPEN_THRESHOLDS: Final = {"owlv2": 0.1, "grounding-dino": 0.25}
"""Defaults of the library."""
_MAX_OVERLAP: Final = 0.5
"""Of two boxes of a label that overlap more (intersection over union), only the better one counts."""


class _Boxes(NamedTuple):
    """Boxes float [N, 4] in pixels as sent, scores float [N], and for each the index of its label, int64 [N]."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class OpenVocabularyDetector:
    """Find objects that are named in words. Each picture runs alone.

    Args:
        files: the files of the model.
        device: the device to run on.
        labels: what to find, such as `person` or `fire truck`.
        threshold: the lowest score of a detection; None for the library's default.
    """

    def __init__(
        self, files: ModelFiles, device: torch.device, labels: Sequence[str], threshold: float | None = None
    ) -> None:
        self.labels = tuple(dict.fromkeys(label.strip().lower() for label in labels if label.strip()))
        if not self.labels:
            raise UsageError(
                f"{files.source}: expected what to find, because this detector has no labels of its own; set "
                'model.detector_labels = "person, car" (--detector-labels)'
            )
        self._threshold = OPEN_THRESHOLDS[files.architecture] if threshold is None else threshold
        self._network = load_pretrained_model("AutoModelForZeroShotObjectDetection", files).to(device)
        self._processor = load_pretrained("AutoImageProcessor", files)
        self._tokens = load_pretrained("AutoTokenizer", files)
        self._boxes = self._owlv2 if files.architecture == "owlv2" else self._grounding_dino
        self.sha256 = detector_checksum(files, self._threshold, self.labels)
        self.max_side = longer_side(self._processor.size)

    def warm(self) -> None:
        """Run once on a black picture."""
        self.detect([warm_picture()])

    @torch.no_grad()
    def detect(self, pictures: Sequence[DetectionPicture]) -> list[tuple[PredictedDetection, ...]]:
        """Return the detections in each picture, in order, by falling score. See `Detector.detect`."""
        return [self._detect_in(picture) for picture in pictures]

    def _detect_in(self, picture: DetectionPicture) -> tuple[PredictedDetection, ...]:
        from torchvision.ops import batched_nms  # noqa: PLC0415 - slow to import

        inputs = self._processor(images=[picture.rgb_hwc_u8], input_data_format="channels_last", return_tensors="pt")
        found = self._boxes(picture, inputs.to(device_of(self._network)))
        kept = batched_nms(found.boxes.float(), found.scores.float(), found.labels, _MAX_OVERLAP)
        names = [self.labels[index] for index in found.labels[kept].tolist()]
        return detections(picture, found.boxes[kept], found.scores[kept], names)

    def _owlv2(self, picture: DetectionPicture, inputs: Any) -> _Boxes:  # noqa: ANN401 - a batch of transformers
        texts = self._tokens(
            list(self.labels),
            padding="max_length",
            truncation=True,
            max_length=self._network.config.text_config.max_position_embeddings,
            return_tensors="pt",
        ).to(device_of(self._network))
        outputs = self._network(**inputs, input_ids=texts["input_ids"], attention_mask=texts["attention_mask"])
        answer = self._processor.post_process_object_detection(
            outputs, threshold=self._threshold, target_sizes=[(picture.height, picture.width)]
        )[0]
        return _Boxes(answer["boxes"], answer["scores"], answer["labels"])

    def _grounding_dino(self, picture: DetectionPicture, inputs: Any) -> _Boxes:  # noqa: ANN401 - as above
        sentence = " ".join(f"{label}." for label in self.labels)
        texts = self._tokens(sentence, return_offsets_mapping=True, truncation=True, return_tensors="pt")
        offsets = texts.pop("offset_mapping")[0].tolist()
        outputs = self._network(**inputs, **texts.to(device_of(self._network)))
        by_token = outputs.logits[0].sigmoid()  # [queries, tokens]
        scores = by_token.max(1).values
        kept = scores > self._threshold
        center, size = outputs.pred_boxes[0][kept].split(2, dim=1)  # [N, 2] each, relative to the picture
        scale = center.new_tensor([picture.width, picture.height])
        boxes = torch.cat(((center - size / 2) * scale, (center + size / 2) * scale), dim=1)
        return _Boxes(boxes, scores[kept], self._by_label(by_token[kept], offsets).argmax(1))

    def _by_label(self, by_token: Tensor, offsets: Sequence[Sequence[int]]) -> Tensor:
        """Return the best score of the tokens of each label, float [N, labels], of the scores [N, tokens]."""
        scores, start = [], 0
        for label in self.labels:
            end = start + len(label)
            own = [index for index, (first, last) in enumerate(offsets) if start <= first < last <= end]
            scores.append(by_token[:, own].max(1).values if own else by_token.new_full((len(by_token),), -1.0))
            start = end + len(". ")
        return torch.stack(scores, dim=1)
