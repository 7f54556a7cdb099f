"""Names in texts, by a tiny model that knows a few."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.foundation import tiny_models
from triptych.models.foundation.named_entities import NamedEntities, named_entities
from triptych.schemas.errors import UsageError


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> NamedEntities:
    """The tiny model, loaded from its files."""
    return named_entities(f"folder:{tiny_models.tiny_named_entities(tmp_path_factory.mktemp('names'))}")


def test_names_of_several_words_and_scripts(finder: NamedEntities) -> None:
    """Each text has its own, in order and as they are written there; Chinese needs no capitals."""
    texts = ["we met Anna Schmidt in Oslo", "我在上海见到李雷", "in Oslo we met nobody", "nobody met"]
    assert finder.names(texts) == [("Anna Schmidt", "Oslo"), ("上海", "李雷"), ("Oslo",), ()]


def test_a_name_stands_once_and_is_a_whole_word(finder: NamedEntities) -> None:
    """The model knows `Oslo` and not the rest of the word, and a name may go on in another line."""
    assert finder.names(["Oslo, Oslo!"]) == [("Oslo",)]
    assert finder.names(["we met Anna\nSchmidt"]) == [("Anna Schmidt",)]


def test_a_long_text_is_cut_off(finder: NamedEntities) -> None:
    """What the model reads is searched, and the rest is no error."""
    [names] = finder.names(["Anna said that " + "we met nobody " * 500])
    assert names == ("Anna",)


def test_no_texts_have_no_names(finder: NamedEntities) -> None:
    """An empty list is no error."""
    assert finder.names([]) == []


def test_a_model_without_names_is_refused(tmp_path: Path) -> None:
    """A classifier of whole texts says what was expected."""
    with pytest.raises(UsageError, match="the weights do not fit XLMRobertaForTokenClassification"):
        named_entities(f"folder:{tiny_models.tiny_xlm_r(tmp_path)}")
