"""The pictures, topics and queries of the generated feeds, read from `tuned.toml` and `held_out.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent
SPLITS: Final = ("tuned", "held_out")
LANGUAGES: Final = ("en", "zh")


@dataclass(frozen=True, slots=True)
class FeedPicture:
    """A picture that feeds show: a photograph, by the name of its file, or an emoji.

    Attributes:
        id: its name.
        photo: file name of a photograph; empty for an emoji.
        glyph: the emoji; empty for a photograph.
        partly: pictures that answer a query about this one in part.
        queries: queries about it, by kind (`object` or `scene`) and language.
    """

    id: str
    photo: str
    glyph: str
    partly: tuple[str, ...]
    queries: Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class FeedTopic:
    """What feeds speak of.

    Attributes:
        id: its name.
        sentences: by language; the first ones of both languages mean the same.
        near: sentences with words of the topic that mean something else.
        queries: queries about it, by kind (`exact` or `meant`) and language.
    """

    id: str
    sentences: Mapping[str, tuple[str, ...]]
    near: tuple[str, ...]
    queries: Mapping[tuple[str, str], str]

    def lines(self) -> Iterator[str]:
        """Yield the ids of its sentences: `flood.en0`."""
        for language, sentences in self.sentences.items():
            yield from (f"{self.id}.{language}{number}" for number in range(len(sentences)))


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """A query about a picture, a topic or both: an entry `both`, `heard` or `filter`.

    Attributes:
        kind: `both`, `heard` or `filter`.
        picture: the picture asked for; None for none.
        topic: the topic asked for or, with the condition `said`, the one whose words are the condition.
        condition: the filter; empty for none.
        said: the words of the condition `said`.
        texts: by language.
    """

    kind: str
    picture: str | None
    topic: str | None
    condition: str
    said: str
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FeedContent:
    """All that one file describes."""

    split: str
    pictures: tuple[FeedPicture, ...]
    topics: tuple[FeedTopic, ...]
    planned: tuple[PlannedQuery, ...]


def read_content(split: str) -> FeedContent:
    """Read the file of a split."""
    document = tomllib.loads((FOLDER / f"{split}.toml").read_text(encoding="utf-8"))
    planned = [_planned(kind, entry) for kind in ("both", "heard", "filter") for entry in document[kind]]
    pictures, topics = map(_picture, document["picture"]), map(_topic, document["topic"])
    return FeedContent(split, tuple(pictures), tuple(topics), tuple(planned))


def _picture(entry: Mapping[str, Any]) -> FeedPicture:
    queries = _queries(entry, ("object", "scene"))
    return FeedPicture(
        entry["id"], entry.get("photo", ""), entry.get("glyph", ""), tuple(entry.get("partly", ())), queries
    )


def _topic(entry: Mapping[str, Any]) -> FeedTopic:
    sentences = {language: tuple(entry[language]) for language in LANGUAGES}
    return FeedTopic(entry["id"], sentences, tuple(entry["near"]), _queries(entry, ("exact", "meant")))


def _planned(kind: str, entry: Mapping[str, Any]) -> PlannedQuery:
    texts = {language: entry[language] for language in LANGUAGES}
    return PlannedQuery(
        kind, entry.get("picture"), entry.get("topic"), entry.get("condition", ""), entry.get("said", ""), texts
    )


def _queries(entry: Mapping[str, Any], kinds: tuple[str, ...]) -> dict[tuple[str, str], str]:
    names = {(kind, language): f"{kind}_{language}" for kind in kinds for language in LANGUAGES}
    return {key: entry[name] for key, name in names.items() if name in entry}
