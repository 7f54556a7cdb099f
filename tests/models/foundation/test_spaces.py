"""Joint spaces of tiny random models: equal to the library's results, independent of chance and of the batch."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.models.foundation import tiny_models
from triptych.models.foundation.space import build_foundation_space
from triptych.models.foundation.window_space import PictureSpace, SoundSpace
from triptych.models.window import DetectionPicture, PreparedCue, PreparedWindow
from triptych.schemas.errors import UsageError

CPU = torch.device("cpu")
NS = 1_000_000_000
RATE = 16_000
PICTURE_MODELS = ["siglip", "siglip2", "clip", "open_clip", "sentence_transformers"]
TEXTS = ["a dog barks", "fire over the river", "the steel bridge"]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Return a function that returns the space of a tiny model, built once."""
    built: dict[str, Any] = {}

    def get(name: str) -> PictureSpace | SoundSpace:
        if name not in built:
            folder = tmp_path_factory.mktemp(name)
            getattr(tiny_models, f"tiny_{name}")(folder)
            built[name] = build_foundation_space(f"folder:{folder}", CPU)
            built[name].folder = folder
        return built[name]

    return get


def window(
    frames: int = 2, *, seconds: int = 2, sound: bool = True, words: str = "", pictures: int = 0, seed: int = 0
) -> PreparedWindow:
    """Return a window of random frames, noise and words."""
    rng = np.random.default_rng(seed)
    samples = seconds * RATE
    shown = tuple(
        DetectionPicture(rng.integers(0, 256, (60, 90, 3), np.uint8), time_ns=number, width=900, height=600)
        for number in range(pictures)
    )
    return PreparedWindow(
        stream="s",
        start_ns=0,
        end_ns=seconds * NS,
        frames_hwc_u8=tuple(rng.integers(0, 256, (48, 48, 3), np.uint8) for _ in range(frames)),
        frame_times_ns=tuple(10 + number for number in range(frames)),
        audio_f32=rng.normal(0, 0.1, samples).astype(np.float32) if sound else np.zeros(samples, np.float32),
        audio_present=((0, samples // 4), (samples // 2, samples)) if sound else (),
        cues=(PreparedCue(words, 0, NS),) if words else (),
        pictures=shown,
    )


@pytest.mark.parametrize("name", PICTURE_MODELS)
def test_a_vector_does_not_depend_on_the_other_windows_of_the_batch(space: Callable[[str], Any], name: str) -> None:
    """A vector does not depend on the other windows of the batch."""
    own: PictureSpace = space(name)
    windows = [window(2, words="a dog", seed=1), window(1, seed=2), window(0, words="rain"), window(3, seed=3)]
    together = own.embed_windows(windows)
    for each, vectors in zip(windows, together, strict=True):
        alone = own.embed_windows([each])[0]
        assert alone is not None
        assert vectors is not None
        np.testing.assert_allclose(vectors.fused, alone.fused, atol=1e-5)
    assert not np.allclose(together[0].fused, together[3].fused, atol=1e-3)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", PICTURE_MODELS)
def test_missing_modalities_are_left_out(space: Callable[[str], Any], name: str) -> None:
    """Missing modalities are left out."""
    own: PictureSpace = space(name)
    both, words, frames, neither = own.embed_windows(
        [window(2, words="a dog"), window(0, words="a dog"), window(2), window(0)]
    )
    assert both is not None
    assert words is not None
    assert frames is not None
    assert neither is None
    assert both.fused is both.video
    assert words.video is None
    assert words.frames is None
    assert frames.subtitles is None
    np.testing.assert_allclose(both.fused, frames.fused, atol=1e-5)  # words do not move it
    np.testing.assert_allclose(words.fused, own.encoder.embed_words(["a dog"]).numpy()[0], atol=1e-5)
    for vectors in (both, words, frames):
        assert vectors.audio is None
        assert np.linalg.norm(vectors.fused) == pytest.approx(1, abs=1e-5)
        assert vectors.space == own.name


@pytest.mark.parametrize("name", PICTURE_MODELS)
def test_texts_differ_and_have_length_one(space: Callable[[str], Any], name: str) -> None:
    """Texts differ and have length one."""
    vectors = space(name).embed_texts(TEXTS)
    assert vectors.shape == (3, space(name).dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    assert space(name).embed_texts([]).shape == (0, space(name).dimensions)


def test_pictures_for_detectors_are_preferred_unless_there_are_fewer_than_frames(space: Callable[[str], Any]) -> None:
    """Pictures for detectors are preferred unless there are fewer than frames."""
    own: PictureSpace = space("siglip")
    large = window(2, pictures=2)
    vectors, frames = own.embed_windows([large, window(2, pictures=1)])
    assert vectors is not None
    assert frames is not None
    expected = own.encoder.embed_pictures([picture.rgb_hwc_u8 for picture in large.pictures]).numpy()
    assert vectors.frames is not None
    np.testing.assert_allclose(vectors.frames, expected, atol=1e-6)
    assert vectors.frame_times_ns == (0, 1)
    assert frames.frame_times_ns == (10, 11)


@pytest.mark.parametrize("name", ["siglip", "siglip2", "clip"])
def test_pictures_and_texts_are_embedded_as_by_the_library_itself(space: Callable[[str], Any], name: str) -> None:
    """Pictures and texts are embedded as by the library itself."""
    import transformers

    own = space(name)
    folder = own.folder
    pictures = list(window(3).frames_hwc_u8)
    model = transformers.AutoModel.from_pretrained(folder)
    inputs = transformers.AutoImageProcessor.from_pretrained(folder)(images=pictures, return_tensors="pt")
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        TEXTS,
        padding="max_length",
        max_length=model.config.text_config.max_position_embeddings,
        return_tensors="pt",
    )
    if name != "clip":
        del tokens["attention_mask"]
    with torch.no_grad():
        seen = functional.normalize(model.get_image_features(**inputs).pooler_output, dim=-1).numpy()
        said = functional.normalize(model.get_text_features(**tokens).pooler_output, dim=-1).numpy()
    np.testing.assert_allclose(own.encoder.embed_pictures(pictures).numpy(), seen, atol=1e-5)
    np.testing.assert_allclose(own.embed_texts(TEXTS), said, atol=1e-5)


def test_the_scores_of_siglip_are_those_of_the_library_pipeline(space: Callable[[str], Any]) -> None:
    """The scores of siglip are those of the library pipeline."""
    import transformers
    from PIL import Image

    own = space("siglip")
    picture = window(1).frames_hwc_u8[0]
    model = transformers.AutoModel.from_pretrained(own.folder)
    classify = transformers.pipeline(
        "zero-shot-image-classification",
        model=model,
        tokenizer=transformers.AutoTokenizer.from_pretrained(own.folder, model_input_names=["input_ids"]),
        image_processor=transformers.AutoImageProcessor.from_pretrained(own.folder),
    )
    scores = {
        each["label"]: each["score"]
        for each in classify(
            Image.fromarray(picture),
            candidate_labels=TEXTS,
            hypothesis_template="{}",
        )
    }
    cosines = own.embed_texts(TEXTS) @ own.encoder.embed_pictures([picture]).numpy()[0]
    ours = torch.sigmoid(torch.from_numpy(cosines) * model.logit_scale.exp() + model.logit_bias).tolist()
    assert ours == pytest.approx([scores[text] for text in TEXTS], abs=1e-4)


@pytest.mark.parametrize("name", ["clap", "fused_clap"])
def test_a_long_sound_has_the_same_vector_each_time_and_in_any_batch(space: Callable[[str], Any], name: str) -> None:
    """A long sound has the same vector each time and in any batch."""
    own: SoundSpace = space(name)
    long, short, silent = window(0, seconds=25, seed=4), window(0, seed=5), window(2, sound=False)
    first = own.embed_windows([long, short, silent])
    np.random.seed(99)  # noqa: NPY002 - the library's extractor draws from this generator
    second = own.embed_windows([silent, short, long])
    assert first[2] is None
    for one, other in ((first[0], second[2]), (first[1], second[1])):
        assert one is not None
        assert other is not None
        np.testing.assert_allclose(one.fused, other.fused, atol=1e-6)
    assert own.embed_windows([long])[0].fused == pytest.approx(first[0].fused, abs=1e-6)  # type: ignore[union-attr]


def test_a_sound_is_resampled_without_its_gaps_and_embedded_as_by_the_library(space: Callable[[str], Any]) -> None:
    """A sound is resampled without its gaps and embedded as by the library."""
    import transformers
    from torchaudio.functional import resample

    own = space("clap")
    one = window(0)
    audio = np.concatenate([one.audio_f32[start:end] for start, end in one.audio_present])
    sound = resample(torch.from_numpy(audio), RATE, 48_000).numpy()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(own.folder, truncation="rand_trunc")
    model = transformers.AutoModel.from_pretrained(own.folder)
    with torch.no_grad():
        inputs = extractor(sound, sampling_rate=48_000, return_tensors="pt")
        expected = functional.normalize(model.get_audio_features(**inputs).pooler_output, dim=-1)[0].numpy()
    vectors = own.embed_windows([one])[0]
    assert vectors is not None
    np.testing.assert_allclose(vectors.fused, expected, atol=1e-5)
    assert vectors.audio is vectors.fused


def test_an_encoder_refuses_a_sound_that_the_library_would_crop_at_random(space: Callable[[str], Any]) -> None:
    """An encoder refuses a sound that the library would crop at random."""
    encoder = space("clap").encoder
    with pytest.raises(ValueError, match="expected sounds of 1 to 480000 samples, got 480001"):
        encoder.embed_sounds([np.zeros(480_001, np.float32)])


@pytest.mark.parametrize("name", [*PICTURE_MODELS, "clap"])
def test_loading_asks_no_network(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading asks no network."""
    folder = getattr(tiny_models, f"tiny_{name}")(tmp_path / name)

    def refuse(*_: object) -> None:
        raise AssertionError("a worker must not open a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert build_foundation_space(f"folder:{folder}", CPU).dimensions > 0


def test_the_name_changes_with_the_weights_and_not_with_the_place(tmp_path: Path) -> None:
    """The name changes with the weights and not with the place."""
    one = build_foundation_space(f"folder:{tiny_models.tiny_siglip(tmp_path / 'one')}", CPU)
    same = build_foundation_space(f"folder:{tiny_models.tiny_siglip(tmp_path / 'same')}", CPU)
    other = build_foundation_space(f"folder:{tiny_models.tiny_siglip(tmp_path / 'other', seed=1)}", CPU)
    assert one.name == same.name == f"siglip@{one.sha256[:12]}"
    assert other.name != one.name


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    """Weights that lack a tensor are refused."""
    from safetensors.torch import load_file, save_file

    folder = tiny_models.tiny_siglip(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["vision_model.encoder.layers.1.mlp.fc1.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=r"do not fit SiglipModel: 1 are missing .*layers\.1\.mlp\.fc1\.weight"):
        build_foundation_space(f"folder:{folder}", CPU)


def test_weights_with_code_are_refused_and_not_run(tmp_path: Path) -> None:
    """Weights with code are refused and not run."""
    folder = tiny_models.tiny_siglip(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({"weight": _Bomb(tmp_path / "exploded")}, folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="cannot load it as AutoModel"):
        build_foundation_space(f"folder:{folder}", CPU)
    assert not (tmp_path / "exploded").exists()


def test_code_in_the_folder_is_not_run(tmp_path: Path) -> None:
    """Code in the folder is not run."""
    import json

    folder = tiny_models.tiny_siglip(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "siglip", "auto_map": {"AutoModel": "bomb.Bomb", "AutoConfig": "bomb.Bomb"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "bomb.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w').close()\nclass Bomb: pass\n")
    assert build_foundation_space(f"folder:{folder}", CPU).dimensions == 16
    assert not (tmp_path / "exploded").exists()


def test_a_detector_is_no_space(tmp_path: Path) -> None:
    """A detector is no space."""
    folder = tiny_models.tiny_rt_detr(tmp_path)
    with pytest.raises(
        UsageError,
        match=r"expected a model of pictures and texts \(siglip, siglip2, clip, open_clip, sentence_transformers\)",
    ):
        build_foundation_space(f"folder:{folder}", CPU)


class _Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))
