"""`triptych ask --speech`: a question in a recording."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import av
import pytest

from triptych.ask import spoken_question
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.download.speech_to_text import require_speech_model, speech_model
from triptych.schemas.errors import UsageError

MODEL = "whisper-tiny.en"


def has_recogniser() -> bool:
    """Return whether faster-whisper and the weights are here."""
    pytest.importorskip("faster_whisper")
    try:
        require_speech_model(speech_model(MODEL), cache_folder())
    except UsageError:
        return False
    return True


def cut(source: Path, target: Path, seconds: float) -> None:
    """Write the beginning of the sound of a file as WAV."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = write.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for frame in read.decode(audio=0):
            if frame.time is None or frame.time >= seconds:
                break
            write.mux(stream.encode(frame))
        write.mux(stream.encode(None))


def test_a_spoken_question_is_heard(tmp_path: Path) -> None:
    """The words of the recording, whatever its container."""
    if not has_recogniser():
        pytest.skip("the weights are missing: triptych models pull whisper-tiny.en")
    with as_file(files("triptych.samples").joinpath("librivox_city_15s.mkv")) as clip:
        cut(clip, tmp_path / "question.wav", 4.5)
    assert "young man" in spoken_question(tmp_path / "question.wav", MODEL)
    (tmp_path / "none.wav").write_bytes(b"not a recording")
    with pytest.raises(UsageError, match="expected a recording"):
        spoken_question(tmp_path / "none.wav", MODEL)
