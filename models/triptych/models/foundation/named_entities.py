"""Names in texts: the persons, places and organisations that a token classifier of the library transformers finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from triptych.models.foundation.encoders.joint_encoder import device_of
from triptych.models.foundation.files.libraries import foundation_library, load_pretrained, load_pretrained_model
from triptych.models.foundation.files.model_files import ModelFiles, find_model_files
from triptych.schemas.errors import UsageError

_LEAST_SCORE: Final = 0.5
_BATCH: Final = 16
_OUTSIDE: Final = "O"
_CJK: Final = (("\u3040", "\u30ff"), ("\u3400", "\u9fff"), ("\uf900", "\ufaff"))
"""Kana and Chinese characters: there, a letter beside a name need not belong to it."""


class NamedEntities:
    """Finds names with a model of named entities, such as BERT or XLM-RoBERTa with a classifier of tokens.

    All of its labels but `O` are names. A text longer than the model reads is cut off.

    Args:
        files: the files of the model.

    Raises:
        UsageError: the files hold no token classifier, or none whose labels name entities.
    """

    def __init__(self, files: ModelFiles) -> None:
        network = load_pretrained_model("AutoModelForTokenClassification", files)
        labels = set(network.config.id2label.values())
        if _OUTSIDE not in labels or len(labels) < 2:  # noqa: PLR2004 - and one at least that is a name
            raise UsageError(
                f"{files.source}: expected a token classifier of named entities, with the label {_OUTSIDE} and others, "
                f"got the labels {', '.join(sorted(labels)[:5])}"
            )
        tokens = load_pretrained("AutoTokenizer", files)
        # Models of the family of RoBERTa count positions from after the padding token.
        offset = 2 if "roberta" in files.architecture else 0
        tokens.model_max_length = min(tokens.model_max_length, network.config.max_position_embeddings - offset)
        self._find: Any = foundation_library("transformers").pipeline(
            "token-classification",
            model=network,
            tokenizer=tokens,
            aggregation_strategy="simple",
            device=device_of(network),
        )
        self.sha256 = files.sha256

    def names(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the names of each text, as they are written there, in order and each once. Blocks.

        Raises:
            Exception: the model cannot read a text.
        """
        if not texts:
            return []
        found = self._find(list(texts), batch_size=_BATCH)
        return [_names(text, entities) for text, entities in zip(texts, found, strict=True)]


def named_entities(source: str) -> NamedEntities:
    """Load a model of named entities from local files.

    Raises:
        UsageError: the extra `foundation` is missing, or the source has no such model.
    """
    return NamedEntities(find_model_files(source))


def _names(text: str, entities: Sequence[Any]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    end = 0
    for entity in entities:
        if entity["score"] < _LEAST_SCORE or entity["start"] < end:
            continue  # the second: the rest of a word that an earlier entity was extended to
        start, end = _whole_words(text, entity["start"], entity["end"])
        name = " ".join(text[start:end].split())
        if name:
            names[name] = None
    return tuple(names)


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Extend a span to whole words: a model may name a part of a word only."""
    while start > 0 and _is_of_word(text[start - 1]) and _is_of_word(text[start]):
        start -= 1
    while end < len(text) and _is_of_word(text[end]) and _is_of_word(text[end - 1]):
        end += 1
    return start, end


def _is_of_word(character: str) -> bool:
    return character.isalnum() and not any(first <= character <= last for first, last in _CJK)
