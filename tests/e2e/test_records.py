"""The content of topics and Redis can be read with common tools."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from tests.servers import require_program
from triptych.schemas.codec import decode
from triptych.schemas.names import AUDIO_TOPIC, MODALITY_OF, VIDEO_TOPIC, redis_results_key
from triptych.schemas.records import AudioChunk, InputRecord, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.programs import Installation

CLIPS = ("librivox_city_15s.mkv", "bbb_5s_51ch.mp4", "sintel_608_10s.ts")


@pytest.fixture(scope="module")
def here(install: Callable[..., Installation], clip: Callable[[str], str]) -> Installation:
    """An installation in which three clips were played at once and processed."""
    installation = install()
    installation.run("produce", *map(clip, CLIPS)).succeeded()
    installation.run("work", "--until-end").succeeded()
    return installation


@pytest.mark.parametrize(("topic", "kind"), [(VIDEO_TOPIC, VideoFrame), (AUDIO_TOPIC, AudioChunk)])
def test_the_first_record_of_each_session_is_media(here: Installation, topic: str, kind: type[InputRecord]) -> None:
    """So that a reader of a topic sees an image or audio first, not an empty record."""
    first: dict[str, InputRecord] = {}
    for record in here.records(topic):
        decoded = decode(record.key, record.value, record.headers, modality=MODALITY_OF[topic])
        first.setdefault(decoded.session, decoded)

    assert len(first) == len(CLIPS)
    assert all(isinstance(record, kind) for record in first.values())


def test_kcat_writes_the_first_frame_as_an_image_file(here: Installation) -> None:
    """The value of a record is the JPEG itself."""
    kcat = require_program(shutil.which("kcat"), "kcat")
    command = [
        kcat,
        "-b",
        here.bootstrap_servers,
        "-C",
        "-t",
        VIDEO_TOPIC,
        "-o",
        "beginning",
        "-c",
        "1",
        "-e",
        "-D",
        "",
    ]
    done = subprocess.run(command, capture_output=True, timeout=280, check=True)

    picture = cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_COLOR)
    assert done.stdout.startswith(b"\xff\xd8")
    assert picture is not None
    assert min(picture.shape[:2]) > 100


def test_redis_cli_shows_readable_json(here: Installation) -> None:
    """A result is one named field of plain JSON."""
    redis_cli = require_program(shutil.which("redis-cli"), "redis-cli")
    key = redis_results_key(here.pipeline, "librivox_city_15s")
    command = [redis_cli, "-u", here.redis_url, "XRANGE", key, "-", "+", "COUNT", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)

    _, *fields = done.stdout.splitlines()
    document = dict(zip(fields[::2], fields[1::2], strict=True))["result"]
    assert document.startswith('{"schema_version":1,')
    assert json.loads(document)["stream"] == "librivox_city_15s"
