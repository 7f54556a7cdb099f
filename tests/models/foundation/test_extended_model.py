"""A model with foundation models beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.models.foundation import tiny_models
from triptych.models.build import ModelChoice, build_model
from triptych.models.foundation.sources import FoundationSources
from triptych.models.model import DetectionSpec
from triptych.models.null import NULL_SHA256
from triptych.models.spaces.text_space import build_text_space
from triptych.models.window import DetectionPicture, PreparedCue, PreparedWindow
from triptych.schemas.errors import UsageError

NS = 1_000_000_000
CHOICE = ModelChoice("null", frames=2, window_ns=NS, device="cpu")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> FoundationSources:
    """Return sources of tiny models for all settings."""
    folder = tmp_path_factory.mktemp("models")
    written = {
        "picture_space": tiny_models.tiny_siglip(folder / "siglip"),
        "sound_space": tiny_models.tiny_clap(folder / "clap"),
        "audio_events": tiny_models.tiny_ast(folder / "ast"),
        "emotion": tiny_models.tiny_wav2vec2(folder / "wav2vec2"),
        "sentiment": tiny_models.tiny_xlm_r(folder / "xlm_r"),
    }
    return FoundationSources(**{name: f"folder:{path}" for name, path in written.items()})


def window(frames: int = 2, *, sound: bool = True, words: str = "a dog") -> PreparedWindow:
    """Return a window as the null model wants it."""
    rng = np.random.default_rng(frames)
    return PreparedWindow(
        stream="s",
        start_ns=0,
        end_ns=NS,
        frames_hwc_u8=tuple(rng.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(frames)),
        frame_times_ns=tuple(range(frames)),
        audio_f32=rng.normal(0, 0.1, 16_000).astype(np.float32),
        audio_present=((0, 16_000),) if sound else (),
        cues=(PreparedCue(words, 0, NS),) if words else (),
    )


def test_each_setting_fills_its_field_of_the_prediction(sources: FoundationSources) -> None:
    """Each setting fills its field of the prediction."""
    model = build_model(replace(CHOICE, foundation=sources))
    model.warm()
    whole, empty, shown = model.predict([window(), window(0, sound=False, words=""), window(1, sound=False, words="")])
    assert whole.vectors is not None
    assert whole.vectors.space.startswith("siglip@")
    assert whole.sound_vectors is not None
    assert whole.sound_vectors.space.startswith("clap@")
    assert whole.predictions is not None
    assert set(whole.predictions) == {"speech_emotion", "text_sentiment"}
    assert {event.label for event in whole.sound} == {"Speech", "Music", "Dog"}
    assert [cue.text for cue in whole.words] == ["a dog"]  # of the null model
    assert (empty.vectors, empty.sound_vectors, empty.predictions, empty.sound) == (None, None, None, ())
    assert shown.vectors is not None
    assert shown.sound_vectors is None


def test_the_checksum_changes_with_each_model(sources: FoundationSources) -> None:
    """The checksum changes with each model."""
    names = ("picture_space", "sound_space", "sentiment")
    seen = {
        build_model(replace(CHOICE, foundation=FoundationSources(**{name: getattr(sources, name)}))).info.sha256
        for name in names
    }
    assert len(seen) == 3
    assert NULL_SHA256 not in seen
    assert build_model(CHOICE).info.sha256 == NULL_SHA256


def test_a_space_of_pictures_asks_for_pictures_as_large_as_it_can_use(sources: FoundationSources) -> None:
    """A space of pictures asks for pictures as large as it can use."""
    spec = build_model(replace(CHOICE, foundation=sources)).spec
    assert spec.detection == DetectionSpec(pictures=2, max_side=64)
    heard = build_model(replace(CHOICE, foundation=FoundationSources(sound_space=sources.sound_space)))
    assert heard.spec.detection is None


def test_the_texts_of_prompts_lie_in_the_space_of_the_windows(sources: FoundationSources) -> None:
    """That of the foundation model, whatever the model."""
    texts = build_text_space("null", sources.picture_space)
    assert texts is not None
    vectors = build_model(replace(CHOICE, foundation=sources)).predict([window()])[0].vectors
    assert vectors is not None
    assert vectors.subtitles is not None
    assert texts.name == vectors.space
    np.testing.assert_allclose(texts.embed_texts(["a dog"])[0], vectors.subtitles, atol=1e-5)


def test_a_space_under_the_wrong_setting_is_refused(sources: FoundationSources) -> None:
    """A space under the wrong setting is refused."""
    with pytest.raises(UsageError, match=r"model\.picture_space: expected a space of pictures"):
        build_model(replace(CHOICE, foundation=FoundationSources(picture_space=sources.sound_space)))
    with pytest.raises(UsageError, match=r"model\.sound_space: expected a space of sounds"):
        build_model(replace(CHOICE, foundation=FoundationSources(sound_space=sources.picture_space)))


def test_a_model_without_foundation_models_imports_no_library() -> None:
    """A model without foundation models imports no library."""
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from triptych.models.build import ModelChoice, build_model\n"
        "import triptych.models.cli, triptych.worker.wiring, triptych.training.network_design\n"
        "build_model(ModelChoice('null', frames=1, window_ns=10**9))\n"
        "found = {'transformers', 'open_clip', 'sentence_transformers', 'timm'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_extra_the_error_names_it(sources: FoundationSources, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error names it."""
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"pip install 'triptych\[foundation\]'"):
        build_model(replace(CHOICE, foundation=sources))


def test_a_source_that_is_not_here_is_reported_before_anything_is_loaded(tmp_path: Path) -> None:
    """A source that is not here is reported before anything is loaded."""
    with pytest.raises(UsageError, match="expected a folder, found none"):
        build_model(replace(CHOICE, foundation=FoundationSources(sentiment=f"folder:{tmp_path / 'none'}")))


def test_a_source_is_taken_as_detector_also_beside_the_null_model(tmp_path: Path, sources: FoundationSources) -> None:
    """With the pictures of the setting, and with the spaces, which then take these pictures too."""
    source = f"folder:{tiny_models.tiny_rt_detr(tmp_path)}"
    choice = replace(CHOICE, detector=source, detector_threshold=0.05, pictures=3, foundation=sources)
    model = build_model(choice)
    assert model.spec.detection == DetectionSpec(pictures=3, max_side=64, labels=("person", "dog", "car"))
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    pictures = tuple(DetectionPicture(pixels, time_ns=number, width=64, height=48) for number in range(3))
    shown, hidden = model.predict([replace(window(), pictures=pictures), window()])
    assert shown.detections
    assert {found.time_ns for found in shown.detections} == {0, 1, 2}
    assert shown.vectors is not None
    assert shown.vectors.frame_times_ns == (0, 1, 2)
    assert hidden.detections is None
    assert build_model(replace(choice, detector_threshold=0.4)).info.sha256 != model.info.sha256


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ("yolo", "no detector is called 'yolo'; there are: auto, off, or the source"),
        ("hf:../x", "expected hf:ID@REVISION"),
    ],
)
def test_a_misspelt_detector_is_refused_before_anything_is_loaded(detector: str, message: str) -> None:
    """The error says what there is."""
    with pytest.raises(UsageError, match=message):
        build_model(replace(CHOICE, detector=detector))
