"""Fetch one picture of each hour from the records behind its results, as JPEG files beside the report."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from PIL import Image

from triptych.consumers.describing.chat.media import reduced_picture
from triptych.consumers.evidence.evidence import EvidenceRequest, gather_evidence
from triptych.consumers.subscription.subscriber import Subscriber
from triptych.schemas.errors import UsageError
from triptych.schemas.records import VideoFrame
from triptych.transport.protocols import Transport

_LONGEST_EDGE: Final = 960
_QUALITY: Final = 85


def write_pictures(
    transport: Transport, pipeline: str, wanted: Mapping[int, str], since_ns: int, folder: Path
) -> dict[int, Path]:
    """Write the first picture of each wanted result whose frames still exist. Blocks while the broker answers.

    Args:
        transport: where results and frames are.
        pipeline: the pipeline of the results.
        wanted: ids of results, by the start of the hour. All are of one stream.
        since_ns: a time before they were published.
        folder: where the files go.

    Returns:
        The files, by the start of the hour.

    Raises:
        BrokerUnavailableError: the broker does not answer.
        UsageError: the folder cannot be made.
    """
    starts = {result: start_ns for start_ns, result in wanted.items()}
    if not starts:
        return {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--pictures: {folder}: expected a folder, or a place for one: {error.strerror}") from error
    stream = next(iter(starts)).partition("/")[0]
    written: dict[int, Path] = {}
    with Subscriber.from_transport(transport, pipeline=pipeline) as subscriber:
        results = subscriber.results(stream, since_ns, until_end=True, revisions="all")
        for delivery in results.deliveries():
            start_ns = starts.pop(delivery.result.id, None)
            if start_ns is not None:
                path = folder / f"{stream}-{start_ns // 1_000_000_000}.jpg"
                if _write_picture(transport, EvidenceRequest(delivery, None), path):
                    written[start_ns] = path
            if not starts:
                break
    return written


def _write_picture(transport: Transport, request: EvidenceRequest, path: Path) -> bool:
    for found in gather_evidence(transport, request):
        for item in found.items:
            if isinstance(item.media, VideoFrame):
                picture = reduced_picture(item.media, _LONGEST_EDGE)
                if picture is not None:
                    _write_jpeg(picture.data, path)
                    return True
    return False


def _write_jpeg(data: bytes, path: Path) -> None:
    """Write a picture as JPEG, also one that was sent in another format."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
        if image.format == "JPEG":
            path.write_bytes(data)
        else:
            image.convert("RGB").save(path, "JPEG", quality=_QUALITY)
