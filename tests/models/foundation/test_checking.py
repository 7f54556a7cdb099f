"""`triptych models check`: examples of known content, ranks and latency."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.models.foundation import tiny_models
from triptych.models.cli import models
from triptych.models.foundation.checking import PICTURES, _example_sounds, _picture, ranks
from triptych.schemas.errors import UsageError


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (
            "siglip",
            [
                "16 dimensions",
                "'skyscrapers at night': what it describes is number",
                "of 3 first; by chance 1",
                "ms a picture",
            ],
        ),
        ("open_clip", ["16 dimensions", "ms a text"]),
        (
            "sentence_transformers",
            ["16 dimensions", "'skyscrapers at night': what it describes is number", "ms a text"],
        ),
        ("clap", ["'white noise': what it describes is number", "ms a sound of 2 s"]),
        ("rt_detr", ["'skyscrapers at night': ", "ms a picture"]),
        ("owlv2", ["'mountains covered with snow': ", "ms a picture"]),
        ("ast", ["'an electronic beep': ", "(logit"]),
        ("wav2vec2", ["'an electronic beep': ", "calm"]),
        ("xlm_r", ["'I love this wonderful film.': ", "positive"]),
    ],
)
def test_each_kind_of_model_is_tried_on_examples(tmp_path: Path, name: str, shown: list[str]) -> None:
    """Each kind of model is tried on examples."""
    folder = getattr(tiny_models, f"tiny_{name}")(tmp_path)
    result = CliRunner().invoke(models, ["check", f"folder:{folder}", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert f"folder:{folder} ({tiny_type(name)}), sha256 " in result.output
    for text in shown:
        assert text in result.output


def tiny_type(name: str) -> str:
    """Return the type of a tiny model."""
    own = {"ast": "audio-spectrogram-transformer", "rt_detr": "rt_detr_v2", "xlm_r": "xlm-roberta"}
    return own.get(name, name)


def test_a_malformed_source_is_an_error() -> None:
    """A malformed source is an error."""
    result = CliRunner().invoke(models, ["check", "siglip"])
    assert isinstance(result.exception, UsageError)


def test_the_rank_is_the_place_of_the_item_that_a_query_describes() -> None:
    """The rank is the place of the item that a query describes."""
    items = np.eye(3, dtype=np.float32)
    queries = np.array([[0.9, 0.1, 0], [0.5, 0.3, 0.4], [0, 1, 0]], np.float32)
    assert ranks(queries, items) == [1, 3, 2]


def test_the_examples_show_what_their_sentences_say() -> None:
    """The examples show what their sentences say."""
    rabbit, towers, mountains = (_picture(shown).rgb_hwc_u8.mean(axis=(0, 1)) for shown in PICTURES)
    assert rabbit[1] > rabbit[2] + 20  # green grass
    assert towers[2] > towers[0] + 40  # the blue and green of lights at night
    assert min(mountains) > 120  # snow
    speech, noise, beep = _example_sounds()
    assert len(speech) == len(noise) == len(beep) == 32_000
    assert 0.001 < np.abs(speech).mean() < 0.3
